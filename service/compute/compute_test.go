package compute

import "testing"

// TestEdges: of which changes of status Nova is told, by the original's rules.
func TestEdges(t *testing.T) {
	for _, test := range []struct{ was, is, name, status string }{
		{"DOWN", "ACTIVE", Plugged, "completed"},
		{"BUILD", "ACTIVE", Plugged, "completed"},
		{"DOWN", "ERROR", Plugged, "failed"},
		{"BUILD", "ERROR", Plugged, "failed"},
		{"ACTIVE", "DOWN", Unplugged, "completed"},
		{"ACTIVE", "ACTIVE", "", ""},
		{"DOWN", "DOWN", "", ""},
		{"ACTIVE", "ERROR", "", ""},
		{"ERROR", "ACTIVE", "", ""},
		{"ACTIVE", "BUILD", "", ""},
	} {
		if name, status := edge(test.was, test.is); name != test.name || status != test.status {
			t.Errorf("%s to %s: %q %q", test.was, test.is, name, status)
		}
	}
}

// TestServer: whose ports concern a compute service.
func TestServer(t *testing.T) {
	const id = "6b9f2a3c-1d4e-4f5a-8b7c-9d0e1f2a3b4c"
	for _, test := range []struct{ owner, device, want string }{
		{"compute:nova", id, id},
		{"compute:", id, id},
		{"compute:nova", "6b9f2a3c1d4e4f5a8b7c9d0e1f2a3b4c", "6b9f2a3c1d4e4f5a8b7c9d0e1f2a3b4c"},
		{"compute:nova", "urn:uuid:" + id, ""},
		{"compute:nova", "dhcp-host", ""},
		{"compute:nova", "", ""},
		{"network:dhcp", id, ""},
		{"baremetal:none", id, ""},
		{"", id, ""},
	} {
		if got := (Port{"p", test.device, test.owner}).server(); got != test.want {
			t.Errorf("%s %s: %q", test.owner, test.device, got)
		}
	}
}
