package l2

import (
	"slices"

	"neutrino/dataplane/openflow"
)

// perFlow is how many destinations one flow has: its message has room for 64 KiB of actions. Tests have less.
var perFlow = 1000

// regPiece is the register that says which piece of which list comes next.
const regPiece = 4

// pieces spreads a long list of destinations over flows, for one flow has no room for them all: the first one
// goes on with the second in a further table, and so on. The network's local VLAN and the list's number tell
// lists in that table apart.
func pieces(first openflow.Flow, table uint8, vlan uint16, list uint8, each []openflow.Actions) []openflow.Flow {
	var flows []openflow.Flow
	f := first
	for i, part := range slices.Collect(slices.Chunk(each, perFlow)) {
		if i > 0 {
			next := uint32(list)<<24 | uint32(vlan)<<12 | uint32(i)
			f.Actions = append(f.Actions, openflow.SetReg(regPiece, next), openflow.Resubmit(table))
			flows = append(flows, f)
			f = openflow.Flow{Table: table, Priority: 1, Match: openflow.Match{openflow.InReg(regPiece, next)}}
		}
		f.Actions = slices.Concat(part...)
	}
	return append(flows, f)
}
