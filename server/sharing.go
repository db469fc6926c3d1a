package server

import (
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/service/network"
	"neutrino/service/qos"
	"neutrino/service/rbac"
	"neutrino/service/security"
)

// share lists every kind of object that RBAC policies can share, with who uses it.
func (s *Services) share() {
	s.Sharing.Types["network"] = rbac.Type{
		Actions: []string{rbac.Shared, rbac.External},
		Owner:   owner(s.Network.Networks, func(n *network.Network) string { return n.ProjectID }),
		Users: func(c *engine.Call, id, action string) (map[string]bool, error) {
			if action == rbac.External {
				return engine.TextSet(c, `SELECT project_id FROM floatingips WHERE floating_network_id = ?
					UNION SELECT r.project_id FROM routers r JOIN ports p ON p.device_id = r.id
					WHERE p.network_id = ? AND p.device_owner = 'network:router_gateway'`, id, id)
			}
			return engine.TextSet(c, `SELECT project_id FROM ports WHERE network_id = ? AND device_owner <> 'network:dhcp'
				UNION SELECT project_id FROM subnets WHERE network_id = ?`, id, id)
		},
		Keep: func(c *engine.Call, p *rbac.Policy) error {
			n, err := s.Network.Networks.Row(c, p.ObjectID)
			if err != nil || p.Action != rbac.External || p.Target != "*" || !n.IsDefault {
				return err
			}
			return fault.Conflict("RbacPolicyInUse", "RBAC policy on object %s cannot be removed because other objects depend on it.\nDetails: it is the default external network", n.ID)
		},
		Touch: s.Network.Networks.Touch,
	}
	s.Sharing.Types["qos_policy"] = rbac.Type{
		Kind: "policy", Strict: true, Actions: []string{rbac.Shared},
		Owner: owner(s.QoS.Policies, func(p *qos.Policy) string { return p.ProjectID }),
		Users: func(c *engine.Call, id, _ string) (map[string]bool, error) { return s.QoS.Users(c, id) },
	}
	s.Sharing.Types["security_group"] = rbac.Type{
		Actions: []string{rbac.Shared},
		Owner:   owner(s.Security.Groups, func(g *security.Group) string { return g.ProjectID }),
		Users: users(`SELECT p.project_id FROM ports p JOIN port_security_groups m ON m.port_id = p.id WHERE m.security_group_id = ?
			UNION SELECT project_id FROM security_group_rules WHERE remote_group_id = ?`, 2),
	}
	s.Sharing.Types["address_group"] = rbac.Type{
		Actions: []string{rbac.Shared},
		Owner:   owner(s.Security.AddressGroups, func(g *security.AddressGroup) string { return g.ProjectID }),
		Users:   users("SELECT project_id FROM security_group_rules WHERE remote_address_group_id = ?", 1),
	}
	s.Sharing.Types["address_scope"] = rbac.Type{
		Actions: []string{rbac.Shared},
		Owner:   owner(s.Network.AddressScopes, func(a *network.AddressScope) string { return a.ProjectID }),
		Users:   users("SELECT project_id FROM subnetpools WHERE address_scope_id = ?", 1),
	}
	s.Sharing.Types["subnetpool"] = rbac.Type{
		Actions: []string{rbac.Shared},
		Owner:   owner(s.Network.SubnetPools, func(p *network.SubnetPool) string { return p.ProjectID }),
		Users:   users("SELECT project_id FROM subnets WHERE subnetpool_id = ?", 1),
		Allowed: s.Network.PoolSharable,
		Touch:   s.Network.SubnetPools.Touch,
	}
}

// owner gives the project of a resource's object.
func owner[T any](r *engine.Resource[T], project func(t *T) string) func(c *engine.Call, id string) (string, error) {
	return func(c *engine.Call, id string) (string, error) {
		t, err := r.Row(c, id)
		if err != nil {
			return "", err
		}
		return project(t), nil
	}
}

// users gives the projects that a statement finds; it takes the object's id n times.
func users(query string, n int) func(c *engine.Call, id, action string) (map[string]bool, error) {
	return func(c *engine.Call, id, _ string) (map[string]bool, error) {
		args := make([]any, n)
		for i := range args {
			args[i] = id
		}
		return engine.TextSet(c, query, args...)
	}
}
