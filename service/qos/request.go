package qos

import (
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/service/network"
)

// segmentOf is where a network's traffic goes.
type segmentOf struct{ kind, physical string }

// extendPorts fills what the promises of a port's policy ask of a host, for those who place instances.
func (s *Service) extendPorts() {
	ports := s.net.Ports
	ports.Loaders = append(ports.Loaders, func(c *engine.Call, page engine.Page) (func(p *network.Port), error) {
		promises := map[string][]*Rule{}
		err := eachRule(c, func(r *Rule) { promises[r.PolicyID] = append(promises[r.PolicyID], r) },
			"WHERE q.rule_type IN ('minimum_bandwidth', 'minimum_packet_rate') ORDER BY q.id")
		if err != nil || len(promises) == 0 {
			return func(p *network.Port) { p.ResourceRequest = nil }, err
		}
		segments := map[string]segmentOf{}
		err = c.Tx.Each(func(rows *sql.Rows) error {
			var id string
			var n segmentOf
			err := rows.Scan(&id, &n.kind, &n.physical)
			segments[id] = n
			return err
		}, "SELECT DISTINCT n.id, n.network_type, n.physical_network FROM ports p"+page.Join("p.id")+
			"JOIN networks n ON n.id = p.network_id WHERE n.qos_policy_id <> '' OR p.qos_policy_id <> ''", page.Args...)
		return func(p *network.Port) {
			p.ResourceRequest = request(p, segments[p.NetworkID], promises[effective(p, p.QoSNetworkPolicyID)])
		}, err
	})
}

// group is one part of a port's request: resources that one provider with the traits must have.
type group struct {
	ID        string         `json:"id"`
	Required  []string       `json:"required"`
	Resources map[string]int `json:"resources"`
}

// request is what the promises of a port's policy ask of a host; nil when nothing.
func request(p *network.Port, n segmentOf, promises []*Rule) []byte {
	if len(promises) == 0 {
		return nil
	}
	vnic := trait("VNIC_TYPE_" + p.VNICType)
	var groups []group
	add := func(rules []*Rule, traits []string, resources map[string]string) {
		if len(rules) == 0 {
			return
		}
		g := group{Required: traits, Resources: map[string]int{}}
		ids := make([]string, len(rules))
		for i, r := range rules {
			ids[i] = r.ID
			g.Resources[resources[r.Direction]] = r.Amount
		}
		g.ID = uuid.NewSHA1(uuid.MustParse(p.ID), []byte(strings.Join(ids, ":"))).String()
		groups = append(groups, g)
	}
	of := func(kind string) (rules []*Rule) {
		for _, r := range promises {
			if r.Type == kind {
				rules = append(rules, r)
			}
		}
		return rules
	}
	switch {
	case n.physical != "":
		add(of("minimum_bandwidth"), []string{trait("PHYSNET_" + n.physical), vnic}, bandwidths)
	case segment.Types[n.kind].IsTunnel():
		add(of("minimum_bandwidth"), []string{"CUSTOM_NETWORK_TUNNEL_PROVIDER", vnic}, bandwidths)
	}
	add(of("minimum_packet_rate"), []string{vnic}, packetRates)
	if len(groups) == 0 {
		return nil
	}
	together := make([]string, len(groups))
	for i, g := range groups {
		together[i] = g.ID
	}
	text, err := json.Marshal(map[string]any{"request_groups": groups, "same_subtree": together})
	if err != nil {
		panic("qos: a resource request has no JSON form: " + err.Error())
	}
	return text
}

// Classes of resources by direction, as the placement service names them.
var (
	bandwidths  = map[string]string{"egress": "NET_BW_EGR_KILOBIT_PER_SEC", "ingress": "NET_BW_IGR_KILOBIT_PER_SEC"}
	packetRates = map[string]string{
		"any":    "NET_PACKET_RATE_KILOPACKET_PER_SEC",
		"egress": "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC", "ingress": "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
	}
)

// trait is a custom trait's name as the placement service takes it.
func trait(name string) string {
	return "CUSTOM_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}
