// Package segment has the type drivers: what a kind of network segment needs, which ids it can
// have and how much of a packet it takes. Pure.
package segment

// Type is a kind of segment.
type Type struct {
	Name          string // provider:network_type
	NeedsPhysical bool   // lies on a physical network
	MinID, MaxID  int    // segmentation ids; MaxID 0: it has none
	overhead4     int    // bytes that the tunnel takes over IPv4
	tunnel        bool
}

// The types, by the original's names. The overheads are: outer Ethernet header without preamble
// inside the tunnel (14), VXLAN header (8), UDP (8) and IPv4 (20); Geneve is the same, for its
// largest header is counted as 30 bytes with UDP and Ethernet; GRE is its header with a key (8),
// inner Ethernet (14) and IPv4 (20).
var (
	Flat   = Type{Name: "flat", NeedsPhysical: true}
	VLAN   = Type{Name: "vlan", NeedsPhysical: true, MinID: 1, MaxID: 4094}
	VXLAN  = Type{Name: "vxlan", MinID: 1, MaxID: 1<<24 - 1, overhead4: 50, tunnel: true}
	Geneve = Type{Name: "geneve", MinID: 1, MaxID: 1<<24 - 1, overhead4: 50, tunnel: true}
	GRE    = Type{Name: "gre", MinID: 1, MaxID: 1<<32 - 1, overhead4: 42, tunnel: true}
	Local  = Type{Name: "local"}
)

// GeneveHeader is how many bytes of a Geneve packet the overhead counts besides the outer IP header; OVN needs 38.
const GeneveHeader = 30

// Types lists all by name.
var Types = map[string]Type{
	Flat.Name: Flat, VLAN.Name: VLAN, VXLAN.Name: VXLAN, Geneve.Name: Geneve, GRE.Name: GRE, Local.Name: Local,
}

// IsTunnel says whether segments of the type run between hosts over IP.
func (t Type) IsTunnel() bool { return t.tunnel }

// MaxMTU is the largest MTU that instances may use where the physical network carries mtu bytes;
// ipv6 says that tunnels run over IPv6, whose header is 20 bytes longer.
func (t Type) MaxMTU(mtu int, ipv6 bool) int {
	if t.tunnel && ipv6 {
		mtu -= 20
	}
	return mtu - t.overhead4
}
