package metadata

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	"neutrino/desired"
)

// document is one answer.
type document struct {
	kind string // content type
	body []byte
}

const textType, jsonType = "text/plain; charset=utf-8", "application/json"

var openstackVersions = []string{"2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06",
	"2017-02-22", "2018-08-27", "2020-10-14", "latest"}

var ec2Versions = []string{"1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01",
	"2008-09-01", "2009-04-04", "latest"}

// answer is what stands at a path for a guest when no Nova is asked.
func answer(g guest, at string) (document, bool) {
	at = path.Clean(at)
	parts := strings.Split(strings.Trim(at, "/"), "/")
	switch {
	case at == "/":
		return list(ec2Versions...), true
	case parts[0] == "openstack":
		return openstack(g, parts[1:])
	case slices.Contains(ec2Versions, parts[0]):
		return ec2(g, parts[1:])
	}
	return document{}, false
}

func openstack(g guest, parts []string) (document, bool) {
	if len(parts) == 0 {
		return list(openstackVersions...), true
	}
	if !slices.Contains(openstackVersions, parts[0]) || len(parts) > 2 {
		return document{}, false
	}
	userData := data(g).UserData
	if len(parts) == 1 {
		names := []string{"meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json"}
		if len(userData) > 0 {
			names = append(names, "user_data")
		}
		return list(names...), true
	}
	switch parts[1] {
	case "meta_data.json":
		return encode(metaData(g))
	case "network_data.json":
		return encode(networkData(g))
	case "vendor_data.json", "vendor_data2.json":
		return encode(struct{}{})
	case "user_data":
		return document{"application/octet-stream", userData}, len(userData) > 0
	}
	return document{}, false
}

// data is the port's metadata; without any it is empty.
func data(g guest) desired.Metadata {
	for _, p := range append([]*desired.Port{g.port}, g.all...) {
		if p.Metadata != nil {
			return *p.Metadata
		}
	}
	return desired.Metadata{}
}

func fullName(g guest) string {
	name := g.port.Hostname
	if n := g.nets[g.port.NetworkID]; n != nil {
		if d := strings.TrimSuffix(n.DNSDomain, "."); d != "" {
			return name + "." + d
		}
	}
	return name
}

type key struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data"`
}

func metaData(g guest) any {
	m := data(g)
	keys := []key{}
	for _, name := range slices.Sorted(maps.Keys(m.PublicKeys)) {
		keys = append(keys, key{name, "ssh", m.PublicKeys[name]})
	}
	name := m.Name
	if name == "" {
		name = g.port.Hostname
	}
	return struct {
		UUID        string            `json:"uuid"`
		Hostname    string            `json:"hostname"`
		Name        string            `json:"name"`
		ProjectID   string            `json:"project_id"`
		LaunchIndex int               `json:"launch_index"`
		PublicKeys  map[string]string `json:"public_keys,omitempty"`
		Keys        []key             `json:"keys,omitempty"`
		Devices     []string          `json:"devices"`
	}{g.port.DeviceID, fullName(g), name, g.port.ProjectID, 0, m.PublicKeys, keys, []string{}}
}

type link struct {
	ID   string `json:"id"`
	VIF  string `json:"vif_id"`
	Type string `json:"type"`
	MTU  int    `json:"mtu,omitempty"`
	MAC  string `json:"ethernet_mac_address"`
}

type route struct {
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

type service struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

type network struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Link      string    `json:"link"`
	NetworkID string    `json:"network_id"`
	IP        string    `json:"ip_address,omitempty"`
	Netmask   string    `json:"netmask,omitempty"`
	Gateway   string    `json:"gateway,omitempty"`
	Routes    []route   `json:"routes"`
	Services  []service `json:"services,omitempty"`
}

func networkData(g guest) any {
	links, networks, services := []link{}, []network{}, []service{}
	for _, p := range g.all {
		n := g.nets[p.NetworkID]
		if n == nil {
			continue
		}
		id := "tap" + p.ID[:min(11, len(p.ID))]
		links = append(links, link{id, p.ID, "ovs", n.MTU, p.MAC.String()})
		for _, f := range p.FixedIPs {
			i := slices.IndexFunc(n.Subnets, func(s desired.Subnet) bool { return s.ID == f.SubnetID })
			if i < 0 {
				continue
			}
			s := n.Subnets[i]
			one := network{ID: fmt.Sprint("network", len(networks)), Type: addressing(s), Link: id, NetworkID: n.ID, Routes: []route{}}
			one.IP, one.Netmask = f.IP.String(), netmask(s.CIDR)
			if s.Gateway.IsValid() {
				one.Gateway = s.Gateway.String()
				any := netip.PrefixFrom(unspecified(s.CIDR), 0)
				one.Routes = append(one.Routes, route{any.Addr().String(), netmask(any), one.Gateway})
			}
			for _, r := range s.Routes {
				one.Routes = append(one.Routes, route{r.Destination.Addr().String(), netmask(r.Destination), r.NextHop.String()})
			}
			for _, a := range s.DNS {
				dns := service{"dns", a.String()}
				one.Services = append(one.Services, dns)
				if !slices.Contains(services, dns) {
					services = append(services, dns)
				}
			}
			networks = append(networks, one)
		}
	}
	return struct {
		Links    []link    `json:"links"`
		Networks []network `json:"networks"`
		Services []service `json:"services"`
	}{links, networks, services}
}

// addressing is how the guest gets its address of a subnet, in Nova's words.
func addressing(s desired.Subnet) string {
	switch {
	case s.CIDR.Addr().Is4() && s.EnableDHCP:
		return "ipv4_dhcp"
	case s.CIDR.Addr().Is4():
		return "ipv4"
	case s.AddressMode != "":
		return "ipv6_" + s.AddressMode
	}
	return "ipv6"
}

func netmask(p netip.Prefix) string {
	return net.IP(net.CIDRMask(p.Bits(), p.Addr().BitLen())).String()
}

func unspecified(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// ec2 answers below a version of the EC2 form: a tree of texts.
func ec2(g guest, parts []string) (document, bool) {
	userData := data(g).UserData
	if len(parts) == 0 {
		names := []string{"meta-data/"}
		if len(userData) > 0 {
			names = append(names, "user-data")
		}
		return list(names...), true
	}
	if parts[0] == "user-data" && len(parts) == 1 {
		return document{"application/octet-stream", userData}, len(userData) > 0
	}
	if parts[0] != "meta-data" {
		return document{}, false
	}
	return walk(ec2Tree(g), parts[1:])
}

// ec2Tree is the guest's meta-data: path → text.
func ec2Tree(g guest) map[string]string {
	tree := map[string]string{
		"instance-id": g.port.DeviceID, "hostname": fullName(g), "local-hostname": fullName(g),
		"mac": g.port.MAC.String(), "ami-launch-index": "0",
	}
	var local string
	for _, f := range g.port.FixedIPs {
		if f.IP.Is4() && local == "" {
			local = f.IP.String()
		}
	}
	if local != "" {
		tree["local-ipv4"] = local
	}
	if g.float.IsValid() {
		tree["public-ipv4"] = g.float.String()
	}
	for _, p := range g.all {
		base := "network/interfaces/macs/" + p.MAC.String() + "/"
		var v4, v6 []string
		for _, f := range p.FixedIPs {
			if f.IP.Is4() {
				v4 = append(v4, f.IP.String())
			} else {
				v6 = append(v6, f.IP.String())
			}
		}
		tree[base+"mac"] = p.MAC.String()
		if v4 != nil {
			tree[base+"local-ipv4s"] = strings.Join(v4, "\n")
		}
		if v6 != nil {
			tree[base+"ipv6s"] = strings.Join(v6, "\n")
		}
	}
	keys := data(g).PublicKeys
	for i, name := range slices.Sorted(maps.Keys(keys)) {
		tree[fmt.Sprintf("public-keys/%d/openssh-key", i)] = keys[name]
		// The listing of this one folder says the names of the keys.
		tree["public-keys"] += fmt.Sprintf("%d=%s\n", i, strings.NewReplacer("\n", " ", "/", "_").Replace(name))
	}
	return tree
}

// walk finds a text, or lists a folder; folders end in a slash.
func walk(tree map[string]string, parts []string) (document, bool) {
	at := strings.Join(parts, "/")
	if text, ok := tree[at]; ok && at != "" {
		return document{textType, []byte(strings.TrimSuffix(text, "\n"))}, true
	}
	prefix := at
	if at != "" {
		prefix += "/"
	}
	entries := map[string]bool{}
	for name := range tree {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		head, _, folder := strings.Cut(rest, "/")
		if folder {
			head += "/"
		}
		entries[head] = true
	}
	delete(entries, "public-keys") // stands for its folder
	return list(slices.Sorted(maps.Keys(entries))...), len(entries) > 0
}

func list(names ...string) document { return document{textType, []byte(strings.Join(names, "\n"))} }

func encode(v any) (document, bool) {
	b, err := json.Marshal(v)
	return document{jsonType, b}, err == nil
}
