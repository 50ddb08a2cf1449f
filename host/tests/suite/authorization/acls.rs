//! The ACLs in Kafka that permit something to the user of the daemon.

use eventos_testkit::raw::{Raw, text};
use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, create_acls_request::AclCreation,
    delete_acls_request::DeleteAclsFilter,
};

/// Creates and deletes ACLs for one user, as a user who may do so.
pub(super) struct Acls {
    raw: Raw,
    user: String,
}

/// Codes of the protocol for pattern types.
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
/// Code of the protocol for a permission that allows.
const ALLOW: i8 = 3;

impl Acls {
    pub(super) fn new(servers: &str, user: &str) -> Self {
        Self {
            raw: Raw::connect(servers),
            user: format!("User:{user}"),
        }
    }

    /// Permits an operation on a resource of this kind and name.
    pub(super) fn allow(&mut self, operation: &str, resource: &str, name: &str) {
        self.create(operation, resource, name, LITERAL);
    }

    /// Permits an operation on all resources of this kind whose names have this prefix.
    pub(super) fn allow_prefix(&mut self, operation: &str, resource: &str, prefix: &str) {
        self.create(operation, resource, prefix, PREFIXED);
    }

    fn create(&mut self, operation: &str, resource: &str, name: &str, pattern: i8) {
        let acl = AclCreation::default()
            .with_resource_type(resource_type(resource))
            .with_resource_name(text(name))
            .with_resource_pattern_type(pattern)
            .with_principal(text(&self.user))
            .with_host(text("*"))
            .with_operation(operation_code(operation))
            .with_permission_type(ALLOW);
        let request = CreateAclsRequest::default().with_creations(vec![acl]);
        let created = self.raw.call(3, &request).results.remove(0);
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
    }

    /// Deletes the ACL that [`Acls::allow`] has created.
    pub(super) fn revoke(&mut self, operation: &str, resource: &str, name: &str) {
        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(resource_type(resource))
            .with_resource_name_filter(Some(text(name)))
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(Some(text(&self.user)))
            .with_host_filter(Some(text("*")))
            .with_operation(operation_code(operation))
            .with_permission_type(ALLOW);
        let request = DeleteAclsRequest::default().with_filters(vec![filter]);
        let deleted = self.raw.call(3, &request).filter_results.remove(0);
        assert_eq!((deleted.error_code, deleted.matching_acls.len()), (0, 1));
    }
}

fn resource_type(name: &str) -> i8 {
    match name {
        "topic" => 2,
        "group" => 3,
        "transactional id" => 5,
        other => panic!("{other} is not used here"),
    }
}

fn operation_code(name: &str) -> i8 {
    match name {
        "Read" => 3,
        "Write" => 4,
        "Create" => 5,
        "Describe" => 8,
        other => panic!("{other} is not used here"),
    }
}
