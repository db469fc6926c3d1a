package server

import "testing"

func TestFlavors(t *testing.T) {
	const ha = "neutron.services.l3_router.service_providers.ha.HaDriver"
	tell(t, []step{
		{do: "GET /service-providers?service_type=L3_ROUTER_NAT&default=true", status: 200, want: []string{`"name": "single_node"`}, not: []string{`"name": "ha"`}},
		{do: "POST /flavors", body: `{"flavor": {"name": "x", "service_type": "COFFEE"}}`, status: 400, want: []string{"InvalidServiceType"}},
		{as: "demo", do: "POST /flavors", body: `{"flavor": {"name": "x", "service_type": "L3_ROUTER_NAT"}}`, status: 403},
		{do: "POST /flavors", body: `{"flavor": {"name": "safe", "service_type": "L3_ROUTER_NAT"}}`, status: 201, want: []string{`"enabled": true`, `"service_profiles": []`}, keep: "safe"},
		{as: "demo", do: "GET /flavors/$safe", status: 200},
		{as: "demo", do: "POST /routers", body: `{"router": {"flavor_id": "$safe"}}`, status: 404, want: []string{"ServiceProfileNotFound"}},
		{do: "POST /service_profiles", body: `{"service_profile": {}}`, status: 400, want: []string{"ServiceProfileEmpty"}},
		{do: "POST /service_profiles", body: `{"service_profile": {"driver": "nobody.knows"}}`, status: 404, want: []string{"ServiceProfileDriverNotFound"}},
		{do: "POST /service_profiles", body: `{"service_profile": {"driver": "` + ha + `"}}`, status: 201, keep: "profile"},
		{as: "demo", do: "GET /service_profiles/$profile", status: 404},
		{do: "POST /flavors/$safe/service_profiles", body: `{"service_profile": {"id": "$profile"}}`, status: 201, want: []string{`{"service_profile": {"id": "$safe"}}`}},
		{do: "POST /flavors/$safe/service_profiles", body: `{"service_profile": {"id": "$profile"}}`, status: 409, want: []string{"FlavorServiceProfileBindingExists"}},
		{do: "GET /flavors/$safe/next_providers", status: 200, want: []string{`"provider": "ha"`, ha}},
		{do: "DELETE /service_profiles/$profile", status: 409, want: []string{"ServiceProfileInUse"}},

		{do: "POST /routers", body: `{"router": {"flavor_id": "$safe", "ha": false}}`, status: 400, want: []string{"decided by the flavor"}},
		{as: "demo", do: "POST /routers", body: `{"router": {"flavor_id": "$safe", "admin_state_up": false}}`, status: 201, want: []string{`"flavor_id": "$safe"`}, keep: "router"},
		{do: "GET /routers/$router", status: 200, want: []string{`"ha": true`}},
		{do: "PUT /routers/$router", body: `{"router": {"ha": false}}`, status: 400, want: []string{"decided by the flavor"}},
		{do: "PUT /routers/$router", body: `{"router": {"flavor_id": "$safe"}}`, status: 400, want: []string{"read-only"}},
		{do: "DELETE /flavors/$safe", status: 409, want: []string{"FlavorInUse"}},
		{as: "demo", do: "DELETE /routers/$router", status: 204},
		{do: "PUT /flavors/$safe", body: `{"flavor": {"enabled": false}}`, status: 200},
		{as: "demo", do: "POST /routers", body: `{"router": {"flavor_id": "$safe"}}`, status: 503, want: []string{"FlavorDisabled"}},
		{as: "demo", do: "POST /routers", body: `{"router": {"flavor_id": "11111111-1111-1111-1111-111111111111"}}`, status: 404, want: []string{"FlavorNotFound"}},
		{do: "DELETE /flavors/$safe/service_profiles/$profile", status: 204},
		{do: "DELETE /flavors/$safe/service_profiles/$profile", status: 404, want: []string{"FlavorServiceProfileBindingNotFound"}},
		{do: "DELETE /flavors/$safe", status: 204},
		{do: "DELETE /service_profiles/$profile", status: 204},
	})
}
