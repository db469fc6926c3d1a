package router

import (
	"database/sql"
	"encoding/json"
	"net/netip"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// FloatingIP maps an external address to an internal one.
type FloatingIP struct {
	resource.Standard
	NetworkID          string // the external network
	IP                 netip.Addr
	FixedIP            netip.Addr // zero while not associated
	PortID             string     // "" while not associated
	RouterID           string     // "" while not associated
	Status             string
	StatusReason       string
	QoSPolicyID        string
	QoSNetworkPolicyID string // its floating network's
	FloatingPort       string // the hidden port that holds the address
	DNSName, DNSDomain string
	Forwardings        []PortForwarding

	details  *portDetails
	subnetID string // wish of a create
}

// portDetails is what the API shows of the associated port.
type portDetails struct {
	Name         string `json:"name"`
	NetworkID    string `json:"network_id"`
	MAC          string `json:"mac_address"`
	AdminStateUp bool   `json:"admin_state_up"`
	Status       string `json:"status"`
	DeviceID     string `json:"device_id"`
	DeviceOwner  string `json:"device_owner"`
}

func (s *Service) declareFloatingIPs() {
	std := func(f *FloatingIP) *resource.Standard { return &f.Standard }
	attributes := []*resource.Attribute[FloatingIP]{resource.ID(func(f *FloatingIP) *string { return &f.ID })}
	attributes = append(attributes, resource.Project(func(f *FloatingIP) *string { return &f.ProjectID })...)
	attributes = append(attributes, resource.Stamps(std)...)
	s.FloatingIPs = &engine.Resource[FloatingIP]{
		Name: "floatingip", Plural: "floatingips", Extension: "router", Standard: std, Taggable: true, Counted: true, NoBulk: true,
		UpdateEmpty: true,
		NotFound: func(id string) error {
			return fault.NotFound("FloatingIPNotFound", "Floating IP %s could not be found", id)
		},
		Attributes: append(attributes,
			resource.UUID("floating_network_id", "floating_network_id", func(f *FloatingIP) *string { return &f.NetworkID }).Required().Sort(),
			resource.IP("floating_ip_address", "floating_ip_address", func(f *FloatingIP) *netip.Addr { return &f.IP }).Post().Sort().Policed(),
			resource.Computed("subnet_id", func(b []byte, _ *FloatingIP) []byte { return append(b, "null"...) }, nil).Hidden().Post().
				Decoded(func(f *FloatingIP, v any) (err error) {
					if v != nil {
						f.subnetID, err = resource.UUIDValue("subnet_id", v)
					}
					return err
				}),
			resource.OptionalUUID("port_id", "port_id", func(f *FloatingIP) *string { return &f.PortID }).Post().Put().Sort(),
			resource.IP("fixed_ip_address", "fixed_ip_address", func(f *FloatingIP) *netip.Addr { return &f.FixedIP }).Post().Put().Sort(),
			resource.OptionalUUID("router_id", "router_id", func(f *FloatingIP) *string { return &f.RouterID }).Sort(),
			resource.Text("status", "status", 16, func(f *FloatingIP) *string { return &f.Status }).Sort(),
			resource.Text("status_reason", "status_reason", 0, func(f *FloatingIP) *string { return &f.StatusReason }).AdminOnly(),
			resource.Text("floating_port_id", "floating_port_id", 36, func(f *FloatingIP) *string { return &f.FloatingPort }).Hidden(),
			resource.Computed("port_details", appendDetails, nil),
			resource.OptionalUUID("qos_policy_id", "qos_policy_id", func(f *FloatingIP) *string { return &f.QoSPolicyID }).Post().Put().Policed().Filter(),
			resource.OptionalUUID("qos_network_policy_id", "", func(f *FloatingIP) *string { return &f.QoSNetworkPolicyID }),
			resource.Text("dns_name", "dns_name", 255, func(f *FloatingIP) *string { return &f.DNSName }).Post().
				Decoded(func(f *FloatingIP, v any) (err error) { f.DNSName, err = network.ParseDNSName(v); return err }),
			resource.Text("dns_domain", "dns_domain", 255, func(f *FloatingIP) *string { return &f.DNSDomain }).Post().
				Decoded(func(f *FloatingIP, v any) (err error) { f.DNSDomain, err = network.ParseDNSDomain(v); return err }),
			resource.Computed("port_forwardings", appendForwardings, nil),
		),
		Loaders:   []engine.Loader[FloatingIP]{loadDetails, loadNetworkPolicies, loadForwardings},
		OnCreate:  s.createFloatingIP,
		OnCreated: s.floatingIPCreated,
		OnUpdate:  s.updateFloatingIP,
		OnUpdated: func(c *engine.Call, old, f *FloatingIP, _ resource.Given) error {
			return s.floatingIPChanged(c, old, f)
		},
		OnDelete: func(_ *engine.Call, f *FloatingIP) error {
			if len(f.Forwardings) > 0 {
				return inUseByForwarding(f.ID)
			}
			return nil
		},
		OnDeleted: s.floatingIPDeleted,
	}
}

func loadDetails(c *engine.Call, page engine.Page) (func(f *FloatingIP), error) {
	details := map[string]*portDetails{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		var d portDetails
		if err := rows.Scan(&id, &d.Name, &d.NetworkID, &d.MAC, &d.AdminStateUp, &d.Status, &d.DeviceID, &d.DeviceOwner); err != nil {
			return err
		}
		details[id] = &d
		return nil
	}, "SELECT f.id, p.name, p.network_id, p.mac_address, p.admin_state_up, p.status, p.device_id, p.device_owner FROM floatingips f"+
		page.Join("f.id")+"JOIN ports p ON p.id = f.port_id", page.Args...)
	return func(f *FloatingIP) { f.details = details[f.ID] }, err
}

// loadNetworkPolicies gives for each floating IP the QoS policy of its network.
func loadNetworkPolicies(c *engine.Call, _ engine.Page) (func(f *FloatingIP), error) {
	policies := map[string]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var network, policy string
		err := rows.Scan(&network, &policy)
		policies[network] = policy
		return err
	}, "SELECT id, qos_policy_id FROM networks WHERE qos_policy_id <> ''")
	return func(f *FloatingIP) { f.QoSNetworkPolicyID = policies[f.NetworkID] }, err
}

func appendDetails(b []byte, f *FloatingIP) []byte {
	if f.details == nil {
		return append(b, "null"...)
	}
	text, err := json.Marshal(f.details)
	if err != nil {
		panic("router: port details have no JSON form: " + err.Error())
	}
	return append(b, text...)
}

func badFloatingIP(format string, args ...any) error {
	return fault.BadRequest("BadRequest", "Bad floatingip request: "+format+".", args...)
}

func (s *Service) createFloatingIP(c *engine.Call, f *FloatingIP, given resource.Given) error {
	if err := s.checkQoS(c, f.QoSPolicyID); err != nil {
		return err
	}
	if f.DNSDomain != "" && f.DNSName == "" {
		return badFloatingIP("dns_domain cannot be specified without a dns_name")
	}
	n, err := s.net.Networks.GetVisible(c, f.NetworkID)
	if err != nil {
		return err
	}
	if !n.External {
		return badFloatingIP("Network %s is not a valid external network", n.ID)
	}
	p := &network.Port{NetworkID: n.ID, AdminStateUp: true, DeviceOwner: OwnerFloating, Status: "N/A", VNICType: "normal"}
	want, err := s.wantExternal(c, f, n)
	if err != nil {
		return err
	}
	p.Want(want)
	if err := s.net.Ports.Insert(c.Elevated(), p, resource.Given{"fixed_ips": nil}); err != nil {
		if e, ok := fault.As(err); ok && e.Type == "IpAddressGenerationFailure" {
			return fault.BadRequest("ExternalIpAddressExhausted", "Unable to find any IP address on external network %s.", n.ID)
		}
		return err
	}
	f.FloatingPort, f.IP = p.ID, p.FixedIPs[0].IP
	f.Status, f.StatusReason = "DOWN", "not associated with a port"
	if f.PortID == "" {
		if f.FixedIP.IsValid() {
			return badFloatingIP("fixed_ip_address cannot be specified without a port_id")
		}
		return nil
	}
	return s.associate(c, f)
}

// wantExternal is the address that the floating IP's hidden port asks for.
func (s *Service) wantExternal(c *engine.Call, f *FloatingIP, n *network.Network) (network.FixedIP, error) {
	subnets, err := s.net.Subnets.Find(c, store.Where("t.network_id = ?", n.ID))
	if err != nil {
		return network.FixedIP{}, err
	}
	want := network.FixedIP{IP: f.IP}
	for _, subnet := range subnets {
		switch {
		case subnet.IPVersion != 4:
		case f.subnetID != "" && subnet.ID == f.subnetID:
			want.SubnetID = subnet.ID
		case f.subnetID == "" && want.SubnetID == "" && (!f.IP.IsValid() || subnet.CIDR.Contains(f.IP)):
			want.SubnetID = subnet.ID
		}
	}
	switch {
	case want.SubnetID != "":
		return want, nil
	case f.subnetID != "":
		return want, badFloatingIP("no IPv4 subnet %s on external network %s", f.subnetID, n.ID)
	case f.IP.IsValid():
		return want, fault.BadRequest("InvalidIpForNetwork", "IP address %s is not a valid IP for any of the subnets on the specified network.", f.IP)
	}
	return want, badFloatingIP("Network %s does not contain any IPv4 subnet", n.ID)
}

// floatingIPCreated tells the hidden port whose it is.
func (s *Service) floatingIPCreated(c *engine.Call, f *FloatingIP) error {
	if _, err := c.Tx.Exec("UPDATE ports SET device_id = ? WHERE id = ?", f.ID, f.FloatingPort); err != nil {
		return err
	}
	return s.floatingIPChanged(c, &FloatingIP{}, f)
}

// associate finds the internal address and the router between it and the external network.
func (s *Service) associate(c *engine.Call, f *FloatingIP) error {
	if len(f.Forwardings) > 0 {
		return inUseByForwarding(f.ID)
	}
	p, err := s.net.Ports.GetVisible(c, f.PortID)
	if err != nil {
		return err
	}
	if !c.Global() && p.ProjectID != c.Caller.ProjectID {
		return badFloatingIP("Port %s is associated with a different project than Floating IP %s and therefore cannot be bound", f.PortID, f.ID)
	}
	subnet, err := fixedIP(f, p)
	if err != nil {
		return err
	}
	if err := notForwarded(c, p.ID); err != nil {
		return err
	}
	var other FloatingIP
	taken, err := c.Tx.One([]any{&other.ID}, "SELECT id FROM floatingips WHERE port_id = ? AND fixed_ip_address = ? AND floating_network_id = ? AND id <> ?",
		f.PortID, f.FixedIP.String(), f.NetworkID, f.ID)
	if err != nil {
		return err
	}
	if taken {
		return fault.Conflict("FloatingIPPortAlreadyAssociated", "Cannot associate floating IP %s (%s) with port %s using fixed IP %s, as that fixed IP already has a floating IP on external network %s.", f.IP, f.ID, f.PortID, f.FixedIP, f.NetworkID)
	}
	routers, err := routersBetween(c, subnet, f.NetworkID)
	if err != nil {
		return err
	}
	if len(routers) == 0 {
		return fault.NotFound("ExternalGatewayForFloatingIPNotFound", "External network %s is not reachable from subnet %s.  Therefore, cannot associate Port %s with a Floating IP.", f.NetworkID, subnet, f.PortID)
	}
	f.RouterID = routers[0]
	f.Status, f.StatusReason = "DOWN", "waiting for the router's host to realise the floating IP"
	return s.checkShared(c, f)
}

// fixedIP settles which of the port's addresses is meant and gives its subnet.
func fixedIP(f *FloatingIP, p *network.Port) (subnet string, err error) {
	var four []network.FixedIP
	for _, ip := range p.FixedIPs {
		if f.FixedIP.IsValid() && ip.IP == f.FixedIP {
			if !ip.IP.Is4() {
				return "", badFloatingIP("Floating IP cannot be bound to an IPv6 address of port %s", p.ID)
			}
			return ip.SubnetID, nil
		}
		if ip.IP.Is4() {
			four = append(four, ip)
		}
	}
	switch {
	case f.FixedIP.IsValid():
		return "", badFloatingIP("Port %s does not have fixed ip %s", p.ID, f.FixedIP)
	case len(four) == 0:
		return "", badFloatingIP("Cannot add floating IP to port %s that has no fixed IPv4 addresses", p.ID)
	case len(four) > 1:
		return "", badFloatingIP("Port %s has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a floating IP", p.ID)
	}
	f.FixedIP = four[0].IP
	return four[0].SubnetID, nil
}

// updateFloatingIP associates, or parts. A change that names neither port nor address keeps the
// association; an empty change ends it: the original's quirk, which clients rely on.
func (s *Service) updateFloatingIP(c *engine.Call, old, f *FloatingIP, given resource.Given) error {
	if old.QoSPolicyID != f.QoSPolicyID && s.QoS != nil {
		if err := s.QoS.Change(c, old.QoSPolicyID, f.QoSPolicyID); err != nil {
			return err
		}
	}
	if len(given) > 0 && !given.Any("port_id", "fixed_ip_address") {
		return nil
	}
	if c.Internal() && given == nil {
		return nil
	}
	if !given.Has("port_id") && !given.Has("fixed_ip_address") {
		f.PortID = ""
	}
	if f.PortID == "" {
		if given.Has("fixed_ip_address") && f.FixedIP.IsValid() {
			return badFloatingIP("fixed_ip_address cannot be specified without a port_id")
		}
		f.disassociate()
		return nil
	}
	if given.Has("port_id") && !given.Has("fixed_ip_address") {
		f.FixedIP = netip.Addr{}
	}
	return s.associate(c, f)
}

// disassociate parts the floating IP from its port. With port forwardings it stays with its router.
func (f *FloatingIP) disassociate() {
	if len(f.Forwardings) > 0 {
		return
	}
	f.PortID, f.RouterID, f.FixedIP = "", "", netip.Addr{}
	f.Status, f.StatusReason = "DOWN", "not associated with a port"
}

func (s *Service) floatingIPDeleted(c *engine.Call, f *FloatingIP) error {
	p, err := s.net.Ports.Get(c, f.FloatingPort)
	if err == nil {
		err = s.net.Ports.Drop(c, p)
	}
	if err != nil && !fault.IsNotFound(err) {
		return err
	}
	return s.floatingIPChanged(c, f, &FloatingIP{})
}

// floatingIPChanged journals the routers that realise a floating IP, before and after a change, and tells the other
// services of the ports.
func (s *Service) floatingIPChanged(c *engine.Call, old, f *FloatingIP) error {
	for _, id := range []string{old.RouterID, f.RouterID} {
		if id != "" {
			c.Tx.Change("router", id)
		}
	}
	for _, tell := range s.FloatingIPChanged {
		if err := tell(c, old.PortID, f.PortID); err != nil {
			return err
		}
	}
	return nil
}

// checkQoS refuses a QoS policy that the caller may not use.
func (s *Service) checkQoS(c *engine.Call, policy string) error {
	if policy == "" || s.QoS == nil {
		return nil
	}
	return s.QoS.Check(c, policy)
}
