//! Operations of the model that are not here.

use crate::json::{Row, missing};

/// Event data stores, and what is done with them.
pub(super) static LAKES: &[Row] = missing!(
    "cloudtrail",
    "there are no event data stores, channels, dashboards or imports here: records are looked up, and delivered by trails",
    "CancelQuery",
    "CreateChannel",
    "CreateDashboard",
    "CreateEventDataStore",
    "DeleteChannel",
    "DeleteDashboard",
    "DeleteEventDataStore",
    "DeleteResourcePolicy",
    "DescribeQuery",
    "DisableFederation",
    "EnableFederation",
    "GenerateQuery",
    "GetChannel",
    "GetDashboard",
    "GetEventConfiguration",
    "GetEventDataStore",
    "GetImport",
    "GetQueryResults",
    "GetResourcePolicy",
    "ListChannels",
    "ListDashboards",
    "ListEventDataStores",
    "ListImportFailures",
    "ListImports",
    "ListQueries",
    "PutEventConfiguration",
    "PutResourcePolicy",
    "RestoreEventDataStore",
    "SearchSampleQueries",
    "StartDashboardRefresh",
    "StartEventDataStoreIngestion",
    "StartImport",
    "StartQuery",
    "StopEventDataStoreIngestion",
    "StopImport",
    "UpdateChannel",
    "UpdateDashboard",
    "UpdateEventDataStore",
);

/// Insights.
pub(super) static INSIGHTS: &[Row] = missing!(
    "cloudtrail",
    "there are no insights here",
    "GetInsightSelectors",
    "ListInsightsData",
    "ListInsightsMetricData",
    "PutInsightSelectors",
);

/// Organizations.
pub(super) static ORGANIZATIONS: &[Row] = missing!(
    "cloudtrail",
    "an appliance has accounts and no organization",
    "DeregisterOrganizationDelegatedAdmin",
    "RegisterOrganizationDelegatedAdmin",
);
