package l2

import (
	"crypto/sha1" // a name, not a secret
	"encoding/hex"
)

// longestName is how long the name of a device may be in Linux.
const longestName = 15

// peerName names an end of the pair of ports that joins br-int and the bridge of a physical network: the
// prefix ("int-", "phy-") and the bridge's name. Of a long one only the beginning is left, with six digits
// of the name's SHA-1: the original's rule, so that its pairs are ours after a migration.
func peerName(prefix, bridge string) string {
	if len(prefix)+len(bridge) <= longestName {
		return prefix + bridge
	}
	const digits = 6
	sum := sha1.Sum([]byte(bridge))
	return prefix + bridge[:longestName-len(prefix)-digits] + hex.EncodeToString(sum[:])[:digits]
}
