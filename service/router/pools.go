package router

import (
	"net/netip"

	"neutrino/engine"
	"neutrino/resource"
	"neutrino/store"
)

// Pool is a subnet that floating IPs can be taken from.
type Pool struct {
	SubnetID  string
	Name      string
	NetworkID string
	CIDR      netip.Prefix
	ProjectID string // who asks
}

func (s *Service) declarePools() {
	s.Pools = &engine.Resource[Pool]{
		Name: "floatingip_pool", Plural: "floatingip_pools", Extension: "floatingip-pools", Key: "subnet_id",
		NoShow: true, NoCreate: true, NoUpdate: true, NoDelete: true,
		Attributes: []*resource.Attribute[Pool]{
			resource.Text("subnet_id", "", 36, func(p *Pool) *string { return &p.SubnetID }),
			resource.Text("subnet_name", "", 255, func(p *Pool) *string { return &p.Name }),
			resource.Text("network_id", "", 36, func(p *Pool) *string { return &p.NetworkID }),
			resource.Computed("cidr", func(b []byte, p *Pool) []byte { return resource.AppendString(b, p.CIDR.String()) },
				func(p *Pool) any { return p.CIDR.String() }),
			resource.Text("tenant_id", "", 255, func(p *Pool) *string { return &p.ProjectID }),
			resource.Text("project_id", "", 255, func(p *Pool) *string { return &p.ProjectID }),
		},
		From: s.pools,
	}
}

// pools are the IPv4 subnets of the external networks that the caller sees.
func (s *Service) pools(c *engine.Call) ([]*Pool, error) {
	cond := store.Where("t.id IN (SELECT e.object_id FROM rbac_entries e WHERE e.object_type = 'network' AND e.action = 'access_as_external')")
	if !c.Global() {
		cond = store.And(cond, store.Or(engine.SharedWith(c, "network", "access_as_external", "t"), store.Where("t.project_id = ?", c.Caller.ProjectID)))
	}
	networks, err := s.net.Networks.Rows(c, cond)
	if err != nil {
		return nil, err
	}
	external := make([]string, len(networks))
	for i, n := range networks {
		external[i] = n.ID
	}
	subnets, err := s.net.Subnets.Rows(c, store.And(store.In("t.network_id", external), store.Where("t.ip_version = 4")))
	if err != nil {
		return nil, err
	}
	pools := make([]*Pool, len(subnets))
	for i, n := range subnets {
		pools[i] = &Pool{SubnetID: n.ID, Name: n.Name, NetworkID: n.NetworkID, CIDR: n.CIDR, ProjectID: c.Caller.ProjectID}
	}
	return pools, nil
}
