package network

import (
	"neutrino/engine"
	"neutrino/resource"
	"neutrino/store"
)

// ownerDistributed owns ports that are on every host: a network's for metadata.
const ownerDistributed = "network:distributed"

// metadataDeviceID is the device_id of a network's metadata port: the original's form.
func metadataDeviceID(network string) string { return "ovnmeta-" + network }

// ensureMetadata gives a network its metadata port, with an address on each subnet that has DHCP: there instances
// are told the way to it.
func (s *Service) ensureMetadata(c *engine.Call, n *NetworkRow, subnets []*Subnet) error {
	wanted := []addressRequest{}
	for _, subnet := range subnets {
		if subnet.EnableDHCP && subnet.IPVersion == 4 {
			wanted = append(wanted, addressRequest{subnet: subnet.ID})
		}
	}
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ? AND t.device_owner = ? AND t.device_id = ?", n.ID, ownerDistributed, metadataDeviceID(n.ID)))
	if err != nil {
		return err
	}
	if len(ports) > 0 {
		return s.readdress(c, ports[0], wanted)
	}
	p := &Port{NetworkID: n.ID, AdminStateUp: true, VNICType: "normal", DeviceOwner: ownerDistributed, DeviceID: metadataDeviceID(n.ID), wanted: wanted}
	p.ProjectID = n.ProjectID
	return s.Ports.Insert(c.Elevated(), p, resource.Given{"fixed_ips": nil})
}
