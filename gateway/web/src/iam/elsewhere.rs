//! The operations of IAM's model that are not done, each with its reason.

use crate::query::{Row, missing};

pub(super) static SAML: &[Row] = missing!(
    "iam",
    "signatures of SAML assertions are not checked here: have an OIDC provider (CreateOpenIDConnectProvider) and AssumeRoleWithWebIdentity instead",
    "CreateSAMLProvider",
    "DeleteSAMLProvider",
    "GetSAMLProvider",
    "ListSAMLProviderTags",
    "TagSAMLProvider",
    "UntagSAMLProvider",
    "UpdateSAMLProvider",
);

pub(super) static CERTIFICATES: &[Row] = missing!(
    "iam",
    "this appliance keeps no certificates, SSH keys or credentials of single services for users",
    "CreateServiceSpecificCredential",
    "DeleteSSHPublicKey",
    "DeleteServerCertificate",
    "DeleteServiceSpecificCredential",
    "DeleteSigningCertificate",
    "GetSSHPublicKey",
    "GetServerCertificate",
    "ListServerCertificateTags",
    "ResetServiceSpecificCredential",
    "TagServerCertificate",
    "UntagServerCertificate",
    "UpdateSSHPublicKey",
    "UpdateServerCertificate",
    "UpdateServiceSpecificCredential",
    "UpdateSigningCertificate",
    "UploadSSHPublicKey",
    "UploadServerCertificate",
    "UploadSigningCertificate",
);

pub(super) static LINKED: &[Row] = missing!(
    "iam",
    "no service here takes a role of its own in an account",
    "CreateServiceLinkedRole",
    "DeleteServiceLinkedRole",
    "GetServiceLinkedRoleDeletionStatus",
);

pub(super) static ORGANIZATIONS: &[Row] = missing!(
    "iam",
    "there are no Organizations here",
    "DisableOrganizationsRootCredentialsManagement",
    "DisableOrganizationsRootSessions",
    "EnableOrganizationsRootCredentialsManagement",
    "EnableOrganizationsRootSessions",
    "GenerateOrganizationsAccessReport",
    "GetOrganizationsAccessReport",
    "ListOrganizationsFeatures",
);

pub(super) static DELEGATION: &[Row] = missing!(
    "iam",
    "there are no delegation requests, role templates and outbound federation here",
    "AcceptDelegationRequest",
    "AcquireRole",
    "AssociateDelegationRequest",
    "CreateDelegationRequest",
    "DisableOutboundWebIdentityFederation",
    "EnableOutboundWebIdentityFederation",
    "GetAccountProperties",
    "GetDelegationRequest",
    "GetHumanReadableSummary",
    "GetOutboundWebIdentityFederationInfo",
    "GetRoleTemplateVersion",
    "ListDelegationRequests",
    "PutAccountProperties",
    "RejectDelegationRequest",
    "SendDelegationToken",
    "SetSecurityTokenServicePreferences",
    "UpdateDelegationRequest",
);

pub(super) static PROFILES: &[Row] = missing!(
    "iam",
    "there are no instance profiles yet",
    "AddRoleToInstanceProfile",
    "CreateInstanceProfile",
    "DeleteInstanceProfile",
    "GetInstanceProfile",
    "ListInstanceProfileTags",
    "RemoveRoleFromInstanceProfile",
    "TagInstanceProfile",
    "UntagInstanceProfile",
);

pub(super) static REPORTS: &[Row] = missing!(
    "iam",
    "it is not built yet",
    "GetAccountAuthorizationDetails",
    "GetServiceLastAccessedDetailsWithEntities",
    "ListPoliciesGrantingServiceAccess",
);
