package desired

// Report is what a host finds true of one thing: a level, not an event. The newest report of a host
// about a thing and layer replaces the one before.
type Report struct {
	Kind     Kind   `json:"kind"` // port, router, floating_ip
	ID       string `json:"id"`
	Layer    string `json:"layer"`            // who says it: l2, dhcp, l3, sriov
	Revision int64  `json:"revision"`         // of the item that was looked at
	Up       bool   `json:"up"`               // the layer is done with the thing
	Gone     bool   `json:"gone,omitempty"`   // the host has nothing to say about it any more
	Reason   string `json:"reason,omitempty"` // while not up: why, for an administrator
}

// KindFloatingIP is a kind for reports only: floating IPs travel inside their Router.
const KindFloatingIP Kind = "floating_ip"

// KindRouterMove is a kind for statuses only: that the host which a router is about to move to has made it ready.
const KindRouterMove Kind = "router_move"

// The layers that report.
const (
	LayerL2   = "l2"
	LayerDHCP = "dhcp"
	LayerL3   = "l3"

	LayerSRIOV = "sriov"
)

// Beat is what a host says every few seconds while it follows a server, and nothing else: that it lives.
type Beat struct {
	Host  string  `json:"host"`
	Epoch string  `json:"epoch"` // of the server's Hello
	Every float64 `json:"every"` // seconds until the next

	Leaving bool `json:"leaving,omitempty"` // the machine is shutting down: there is no next
}
