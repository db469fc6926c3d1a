// Package localip has local IPs: addresses that, on each host, mean a port of that host.
package localip

import (
	"database/sql"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// LocalIP is an address that associated ports have for the other ports of their host.
type LocalIP struct {
	resource.Standard
	PortID    string // holds the address
	NetworkID string
	IP        netip.Addr
	Mode      string // translate or passthrough
}

// Association gives a local IP to a port.
type Association struct {
	ID, LocalIPID, PortID string
	FixedIP               netip.Addr // of the port
	LocalIP               netip.Addr
	Host                  string // of the port; "" while it is not bound

	project string // what a client says and nobody needs: the local IP's project counts
}

// ownerLocalIP is the owner of ports that are made to hold an address.
const ownerLocalIP = "network:local_ip"

// Service has the resources.
type Service struct {
	LocalIPs     *engine.Resource[LocalIP]
	Associations *engine.Resource[Association]

	net *network.Service
}

// New declares the resources, and lets them go with their ports.
func New(net *network.Service) *Service {
	s := &Service{net: net}
	s.declareLocalIPs()
	s.declareAssociations()
	net.Ports.DeleteGuards = append(net.Ports.DeleteGuards, s.portGoes)
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.LocalIPs.Install(e)
	s.Associations.Install(e)
}

func (s *Service) declareLocalIPs() {
	std := func(l *LocalIP) *resource.Standard { return &l.Standard }
	s.LocalIPs = &engine.Resource[LocalIP]{
		Name: "local_ip", Plural: "local_ips", Extension: "local_ip", Standard: std,
		NotFound: func(id string) error {
			return fault.NotFound("LocalIPNotFound", "Local IP %s could not be found.", id)
		},
		Attributes: append(resource.Standards(std),
			resource.UUID("local_port_id", "local_port_id", func(l *LocalIP) *string { return &l.PortID }).Post().Sort(),
			resource.UUID("network_id", "network_id", func(l *LocalIP) *string { return &l.NetworkID }).Post().Sort(),
			resource.IP("local_ip_address", "local_ip_address", func(l *LocalIP) *netip.Addr { return &l.IP }).Post().Sort().Policed(),
			resource.Enum("ip_mode", "ip_mode", []string{"translate", "passthrough"}, false, func(l *LocalIP) *string { return &l.Mode }).
				Post().Sort().Default(func(l *LocalIP) { l.Mode = "translate" }),
		),
		OnCreate:  s.create,
		OnDelete:  unused,
		OnDeleted: s.dropPort,
	}
}

// unused refuses to delete a local IP that ports have.
func unused(c *engine.Call, l *LocalIP) error {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM local_ip_associations WHERE local_ip_id = ?", l.ID)
	if err == nil && n > 0 {
		err = fault.Conflict("LocalIPInUse", "Local IP %s is still associated with one or more ports.", l.ID)
	}
	return err
}

// create takes the port that the client names, whatever network is named beside it, or makes one on the network.
func (s *Service) create(c *engine.Call, l *LocalIP, _ resource.Given) error {
	if l.PortID == "" && l.NetworkID == "" {
		return fault.BadRequest("LocalIPPortOrNetworkRequired", "Either Port ID or Network ID must be specified for Local IP create.")
	}
	if l.PortID == "" {
		return s.createPort(c, l)
	}
	p, err := s.net.Ports.GetVisible(c, l.PortID)
	if err != nil {
		return err
	}
	l.NetworkID = p.NetworkID
	l.IP, err = addressOf(p, l.IP)
	return err
}

// createPort makes the port that holds the address.
func (s *Service) createPort(c *engine.Call, l *LocalIP) error {
	if _, err := s.net.Networks.GetVisible(c, l.NetworkID); err != nil {
		return err
	}
	if l.ID == "" {
		l.ID = uuid.NewString() // its port names it
	}
	p := &network.Port{NetworkID: l.NetworkID, AdminStateUp: true, DeviceOwner: ownerLocalIP, DeviceID: l.ID}
	p.ProjectID = l.ProjectID
	rules := []string{"create_port"}
	if l.IP.IsValid() {
		rules = append(rules, "create_port:fixed_ips:ip_address")
	}
	for _, rule := range rules { // a port for an address is a port
		if !c.Internal() && !c.Allows(rule, s.net.Ports.Target(c, p)) {
			return fault.Forbidden("rule:%s is disallowed by policy", rule)
		}
	}
	given := resource.Given{}
	if l.IP.IsValid() {
		p.Want(network.FixedIP{IP: l.IP})
		given.Note("fixed_ips", nil)
	}
	if err := s.net.Ports.CheckQuota(c, l.ProjectID, 1); err != nil {
		return err
	}
	if err := s.net.Ports.Insert(c.Elevated(), p, given); err != nil {
		return err
	}
	if len(p.FixedIPs) == 0 {
		return noAddress(p)
	}
	l.PortID, l.IP = p.ID, p.FixedIPs[0].IP
	return nil
}

func noAddress(p *network.Port) error {
	return fault.BadRequest("LocalIPNoIP", "Specified Port %s has no fixed IPs configured.", p.ID)
}

// addressOf settles which address of a port is meant.
func addressOf(p *network.Port, wanted netip.Addr) (netip.Addr, error) {
	switch {
	case len(p.FixedIPs) == 0:
		return wanted, noAddress(p)
	case wanted.IsValid():
		if !slices.ContainsFunc(p.FixedIPs, func(f network.FixedIP) bool { return f.IP == wanted }) {
			return wanted, fault.BadRequest("LocalIPRequestedIPNotFound", "Specified Port %s does not have requested IP address: %s.", p.ID, wanted)
		}
		return wanted, nil
	case len(p.FixedIPs) > 1:
		return wanted, fault.BadRequest("LocalIPNoRequestedIP", "Specified Port %s has several IPs, should specify exact IP address to use for Local IP.", p.ID)
	}
	return p.FixedIPs[0].IP, nil
}

// dropPort removes the port that was made for a local IP.
func (s *Service) dropPort(c *engine.Call, l *LocalIP) error {
	ports, err := s.net.Ports.Find(c, store.Where("t.id = ? AND t.device_owner = ? AND t.device_id = ?", l.PortID, ownerLocalIP, l.ID))
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := s.net.Ports.Drop(c, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) declareAssociations() {
	s.Associations = &engine.Resource[Association]{
		Name: "port_association", Plural: "port_associations", Collection: "port_associations", Extension: "local_ip",
		Table: "local_ip_associations", Key: "fixed_port_id", NoUpdate: true,
		Below: &engine.Below[Association]{
			Parent: "local_ip", Path: "local_ips", Column: "local_ip_id",
			Of:   func(a *Association) *string { return &a.LocalIPID },
			Find: s.visible,
			NotFound: func(parent, id string) error {
				return fault.NotFound("LocalIPAssociationNotFound", "Local IP %s association with port %s could not be found.", parent, id)
			},
		},
		Attributes: []*resource.Attribute[Association]{
			resource.ID(func(a *Association) *string { return &a.ID }).Hidden(),
			resource.Text("local_ip_id", "local_ip_id", 36, func(a *Association) *string { return &a.LocalIPID }),
			resource.IP("local_ip_address", "", func(a *Association) *netip.Addr { return &a.LocalIP }).Where(whereLocalIP),
			resource.UUID("fixed_port_id", "fixed_port_id", func(a *Association) *string { return &a.PortID }).Required().Sort(),
			resource.IP("fixed_ip", "fixed_ip", func(a *Association) *netip.Addr { return &a.FixedIP }).Post().Sort(),
			resource.OptionalText("host", "", 255, func(a *Association) *string { return &a.Host }).Where(whereHost),
			resource.Text("project_id", "", 255, func(a *Association) *string { return &a.project }).Post().Hidden(),
		},
		Loaders:   []engine.Loader[Association]{loadAssociations},
		OnCreate:  s.associate,
		OnCreated: func(c *engine.Call, a *Association) error { return s.LocalIPs.Touch(c, a.LocalIPID) },
		OnDeleted: func(c *engine.Call, a *Association) error { return s.LocalIPs.Touch(c, a.LocalIPID) },
	}
}

// visible finds a local IP as associations below it see it.
func (s *Service) visible(c *engine.Call, id string) (policy.Target, error) {
	l, err := s.LocalIPs.GetVisible(c, id)
	if err != nil {
		return nil, err
	}
	return s.LocalIPs.Target(c, l), nil
}

func whereLocalIP(values []string, self string) (store.Cond, error) {
	in := store.In("l.local_ip_address", values)
	return store.Where(self+".local_ip_id IN (SELECT l.id FROM local_ips l WHERE "+in.SQL+")", in.Args...), nil
}

func whereHost(values []string, self string) (store.Cond, error) {
	in := store.In("p.host", values)
	return store.Where(self+".fixed_port_id IN (SELECT p.id FROM ports p WHERE "+in.SQL+")", in.Args...), nil
}

// loadAssociations fills what associations show of their local IP and their port.
func loadAssociations(c *engine.Call, page engine.Page) (func(a *Association), error) {
	type facts struct {
		local netip.Addr
		host  string
	}
	byID := map[string]facts{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, local string
		var f facts
		if err := rows.Scan(&id, &local, &f.host); err != nil {
			return err
		}
		var err error
		f.local, err = netip.ParseAddr(local)
		byID[id] = f
		return err
	}, "SELECT a.id, l.local_ip_address, p.host FROM local_ip_associations a"+page.Join("a.id")+
		"JOIN local_ips l ON l.id = a.local_ip_id JOIN ports p ON p.id = a.fixed_port_id", page.Args...)
	return func(a *Association) { a.LocalIP, a.Host = byID[a.ID].local, byID[a.ID].host }, err
}

// associate finds the port and which of its addresses is meant.
func (s *Service) associate(c *engine.Call, a *Association, _ resource.Given) error {
	p, err := s.net.Ports.GetVisible(c, a.PortID)
	if err != nil {
		return err
	}
	if a.FixedIP, err = addressOf(p, a.FixedIP); err != nil {
		return err
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM local_ip_associations WHERE local_ip_id = ? AND fixed_port_id = ?", a.LocalIPID, a.PortID)
	if err == nil && n > 0 {
		err = fault.Conflict("NeutronDbObjectDuplicateEntry", "Failed to create a duplicate LocalIPAssociation: for attribute(s) ['fixed_port_id', 'local_ip_id'] with value(s) %s, %s", a.PortID, a.LocalIPID)
	}
	return err
}

// portGoes removes what hangs on a port that is deleted: its associations, and local IPs whose address it
// holds, unless other ports have them.
func (s *Service) portGoes(c *engine.Call, p *network.Port) error {
	associations, err := s.Associations.Rows(c, store.Where("t.fixed_port_id = ?", p.ID))
	if err != nil {
		return err
	}
	for _, a := range associations {
		if err := s.Associations.Drop(c, a); err != nil {
			return err
		}
	}
	held, err := s.LocalIPs.Rows(c, store.Where("t.local_port_id = ?", p.ID))
	if err != nil {
		return err
	}
	for _, l := range held {
		if err := unused(c, l); err != nil {
			return err
		}
		l.PortID = "" // the port goes by itself
		if err := s.LocalIPs.Drop(c, l); err != nil {
			return err
		}
	}
	return nil
}
