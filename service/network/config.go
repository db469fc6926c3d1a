package network

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseTunnelRanges reads vni_ranges and tunnel_id_ranges: "1:1000,5000:5999". most is the largest id there is.
func ParseTunnelRanges(texts []string, most int) ([]IDRange, error) {
	var list []IDRange
	for _, text := range texts {
		first, last, found := strings.Cut(text, ":")
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if !found || err1 != nil || err2 != nil || a < 1 || b > most || a > b {
			return nil, fmt.Errorf("%q is not FIRST:LAST with ids of 1 through %d, the first not above the last", text, most)
		}
		list = append(list, IDRange{a, b})
	}
	return list, nil
}

// ParseVLANRanges reads network_vlan_ranges: "physnet1:100:199" names the VLAN ids that networks get by themselves,
// "physnet1" gives them all there are. It adds to vlans.
func ParseVLANRanges(texts []string, vlans map[string][]IDRange) error {
	for _, text := range texts {
		words := strings.Split(text, ":")
		name := words[0]
		if name == "" || len(words) != 1 && len(words) != 3 {
			return fmt.Errorf("%q is not PHYSICAL_NETWORK or PHYSICAL_NETWORK:FIRST:LAST", text)
		}
		if len(words) == 1 {
			words = append(words, "1", "4094")
		}
		first, err1 := strconv.Atoi(words[1])
		last, err2 := strconv.Atoi(words[2])
		if err1 != nil || err2 != nil || first < 1 || last > 4094 || first > last {
			return fmt.Errorf("%q: VLAN ids are 1 through 4094, the first not above the last", text)
		}
		vlans[name] = append(vlans[name], IDRange{first, last})
	}
	return nil
}

// ParseMTUs reads physical_network_mtus: "physnet1:9000".
func ParseMTUs(texts []string) (map[string]int, error) {
	mtus := map[string]int{}
	for _, text := range texts {
		name, size, _ := strings.Cut(text, ":")
		mtu, err := strconv.Atoi(size)
		if name == "" || err != nil || mtu < 68 || mtu > 65535 {
			return nil, fmt.Errorf("%q is not PHYSICAL_NETWORK:MTU with 68 through 65535 bytes", text)
		}
		if mtus[name] != 0 {
			return nil, fmt.Errorf("%s is named twice", name)
		}
		mtus[name] = mtu
	}
	return mtus, nil
}
