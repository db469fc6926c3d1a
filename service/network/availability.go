package network

import (
	"database/sql"
	"encoding/json"
	"math/big"
	"net/netip"
	"slices"

	"neutrino/address"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network/ipam"
)

// Availability is how many addresses a network's subnets have and how many are used.
type Availability struct {
	NetworkID, NetworkName, ProjectID string
	Total                             *big.Int // addresses in allocation pools, of a subnet without any: in its block
	Used                              int
	Details                           AvailabilityDetails
	Subnets                           []SubnetAvailability
	version                           int // 0: both
}

// AvailabilityDetails tells apart the addresses in subnets that ports could have and those in their pools.
type AvailabilityDetails struct {
	Total       *big.Int `json:"total_ips_in_subnet"` // without an IPv4 block's network and broadcast address
	TotalInPool *big.Int `json:"total_ips_in_allocation_pool"`
	Used        int      `json:"used_ips_in_subnet"`
	UsedInPool  int      `json:"used_ips_in_allocation_pool"`
}

// SubnetAvailability is the same of one subnet.
type SubnetAvailability struct {
	SubnetID  string   `json:"subnet_id"`
	IPVersion int      `json:"ip_version"`
	CIDR      string   `json:"cidr"`
	Name      string   `json:"subnet_name"`
	Used      int      `json:"used_ips"`
	Total     *big.Int `json:"total_ips"`

	Details AvailabilityDetails `json:"ip_availability_details"`
}

func (s *Service) declareAvailabilities() {
	number := func(name string, value func(a *Availability) string) *resource.Attribute[Availability] {
		return resource.Computed(name, func(b []byte, a *Availability) []byte { return append(b, value(a)...) }, nil).
			Described(resource.Schema{Type: "integer"})
	}
	s.Availabilities = &engine.Resource[Availability]{
		Name: "network_ip_availability", Plural: "network_ip_availabilities", Extension: "network-ip-availability", Key: "network_id",
		NoCreate: true, NoUpdate: true, NoDelete: true,
		NotFound: func(id string) error { return s.Networks.NotFound(id) },
		Attributes: append([]*resource.Attribute[Availability]{
			resource.UUID("network_id", "network_id", func(a *Availability) *string { return &a.NetworkID }).Sort(),
			resource.Text("network_name", "network_name", 0, func(a *Availability) *string { return &a.NetworkName }).Sort(),
			number("total_ips", func(a *Availability) string {
				if a.Total == nil {
					return "0"
				}
				return a.Total.String()
			}),
			resource.Int("used_ips", "", 0, 1<<62, func(a *Availability) *int { return &a.Used }),
			resource.Computed("subnet_ip_availability", func(b []byte, a *Availability) []byte {
				list := a.Subnets
				if list == nil {
					list = []SubnetAvailability{}
				}
				return appendJSON(b, list)
			}, nil),
			resource.Computed("ip_availability_details", func(b []byte, a *Availability) []byte { return appendJSON(b, a.Details) }, nil).
				Described(resource.Schema{Type: "object"}),
			ipVersion(func(a *Availability) *int { return &a.version }).Hidden(),
		}, resource.Project(func(a *Availability) *string { return &a.ProjectID })...),
		From: s.availabilities,
	}
}

// availabilities counts for all networks with a fixed number of statements.
func (s *Service) availabilities(c *engine.Call) ([]*Availability, error) {
	version := 0
	if text := c.Asked("ip_version"); text != "" {
		n, err := resource.IntValue(text)
		if err != nil || n != 4 && n != 6 {
			return nil, fault.Invalid("Invalid input for ip_version. Reason: '%s' is not in [4, 6].", text)
		}
		version = n
	}
	used := map[string][]netip.Addr{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var subnet, text string
		if err := rows.Scan(&subnet, &text); err != nil {
			return err
		}
		ip, err := netip.ParseAddr(text)
		used[subnet] = append(used[subnet], ip)
		return err
	}, "SELECT subnet_id, ip_address FROM ip_allocations")
	if err != nil {
		return nil, err
	}
	byNetwork := map[string]*Availability{}
	var list []*Availability
	err = c.Tx.Each(func(rows *sql.Rows) error {
		a := &Availability{Total: new(big.Int), version: version, Details: AvailabilityDetails{Total: new(big.Int), TotalInPool: new(big.Int)}}
		err := rows.Scan(&a.NetworkID, &a.NetworkName, &a.ProjectID)
		byNetwork[a.NetworkID] = a
		list = append(list, a)
		return err
	}, "SELECT id, name, project_id FROM networks ORDER BY created_at, id")
	if err != nil {
		return nil, err
	}
	err = c.Tx.Each(func(rows *sql.Rows) error {
		var network, pools string
		var n SubnetAvailability
		if err := rows.Scan(&network, &n.SubnetID, &n.Name, &n.CIDR, &n.IPVersion, &pools); err != nil {
			return err
		}
		var ranges []Pool
		if err := json.Unmarshal([]byte(pools), &ranges); err != nil {
			return err
		}
		a := byNetwork[network]
		if a == nil || version != 0 && n.IPVersion != version {
			return nil
		}
		block, err := netip.ParsePrefix(n.CIDR)
		if err != nil {
			return err
		}
		n.count(block, ranges, used[n.SubnetID])
		a.Used += n.Used
		a.Total.Add(a.Total, n.Total)
		a.Details.Total.Add(a.Details.Total, n.Details.Total)
		a.Details.TotalInPool.Add(a.Details.TotalInPool, n.Details.TotalInPool)
		a.Details.Used += n.Details.Used
		a.Details.UsedInPool += n.Details.UsedInPool
		a.Subnets = append(a.Subnets, n)
		return nil
	}, "SELECT network_id, id, name, cidr, ip_version, allocation_pools FROM subnets ORDER BY created_at, id")
	if version != 0 {
		list = slices.DeleteFunc(list, func(a *Availability) bool { return len(a.Subnets) == 0 })
	}
	return list, err
}

// count fills in the numbers of a subnet.
func (n *SubnetAvailability) count(block netip.Prefix, pools []Pool, used []netip.Addr) {
	hosts := ipam.Hosts(block)
	if n.IPVersion == 6 {
		hosts.First, hosts.Last = block.Addr(), address.Last(block)
	}
	n.Details = AvailabilityDetails{Total: sizeOf(hosts.First, hosts.Last), TotalInPool: new(big.Int), Used: len(used)}
	for _, p := range pools {
		n.Details.TotalInPool.Add(n.Details.TotalInPool, sizeOf(p.Start, p.End))
	}
	for _, ip := range used {
		if slices.ContainsFunc(pools, func(p Pool) bool { return !ip.Less(p.Start) && !p.End.Less(ip) }) {
			n.Details.UsedInPool++
		}
	}
	n.Used, n.Total = len(used), n.Details.TotalInPool
	if len(pools) == 0 {
		n.Total = sizeOf(block.Addr(), address.Last(block))
	}
}

// appendJSON writes what has a JSON form by its declaration.
func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("network: no JSON form: " + err.Error())
	}
	return append(b, text...)
}

// sizeOf is how many addresses there are from first to last.
func sizeOf(first, last netip.Addr) *big.Int {
	if n, small := address.Distance(first, last); small {
		return new(big.Int).Add(new(big.Int).SetUint64(n), big.NewInt(1))
	}
	a, b := new(big.Int).SetBytes(first.AsSlice()), new(big.Int).SetBytes(last.AsSlice())
	return b.Sub(b, a).Add(b, big.NewInt(1))
}
