//! Operations of the model that are not here.

use crate::json::{Row, missing};

/// Custom key stores.
pub(super) static STORES: &[Row] = missing!(
    "kms",
    "keys are kept in this appliance alone, in no other store",
    "ConnectCustomKeyStore",
    "CreateCustomKeyStore",
    "DeleteCustomKeyStore",
    "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore",
    "UpdateCustomKeyStore",
);

/// Several regions.
pub(super) static REGIONS: &[Row] =
    missing!("kms", "an appliance is one region", "ReplicateKey", "UpdatePrimaryRegion");

/// Key encapsulation.
pub(super) static ENCAPSULATION: &[Row] =
    missing!("kms", "keys of the specs ML_KEM and ML_DSA are not built yet", "Decapsulate", "Encapsulate",);

/// Last use.
pub(super) static USAGE: &[Row] = missing!("kms", "the last use of keys is not kept yet", "GetKeyLastUsage");
