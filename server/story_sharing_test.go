package server

import "testing"

// TestSharePoolOfScope: a pool is shared with no project that can't see its address scope, by a change of target neither.
func TestSharePoolOfScope(t *testing.T) {
	share := func(kind, target string) string {
		return `{"rbac_policy": {"object_type": "` + kind + `", "object_id": "$` + kind + `", "action": "access_as_shared", "target_tenant": "` + target + `"}}`
	}
	tell(t, []step{
		{as: "demo", do: "POST /address-scopes", body: `{"address_scope": {"name": "s", "ip_version": 4}}`, status: 201, keep: "address_scope"},
		{as: "demo", do: "POST /subnetpools", body: `{"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"], "address_scope_id": "$address_scope"}}`, status: 201, keep: "subnetpool"},
		{as: "demo", do: "POST /rbac-policies", body: share("subnetpool", "$other"), status: 400, want: []string{"IllegalSubnetPoolAssociationToAddressScope"}},
		{as: "demo", do: "POST /rbac-policies", body: share("address_scope", "$other"), status: 201},
		{as: "demo", do: "POST /rbac-policies", body: share("subnetpool", "$other"), status: 201, keep: "share"},
		{as: "demo", do: "PUT /rbac-policies/$share", body: `{"rbac_policy": {"target_tenant": "$service"}}`, status: 400, want: []string{"IllegalSubnetPoolAssociationToAddressScope"}},
		{as: "demo", do: "POST /rbac-policies", body: share("address_scope", "$service"), status: 201},
		{as: "demo", do: "PUT /rbac-policies/$share", body: `{"rbac_policy": {"target_tenant": "$service"}}`, status: 200, want: []string{"$service"}},
	})
}
