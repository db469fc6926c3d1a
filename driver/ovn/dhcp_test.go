package ovn

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDHCPValues(t *testing.T) {
	for _, c := range []struct {
		version     int
		name, value string
		want        string // "": refused
	}{
		{4, "mtu", "1400", "1400"},
		{4, "26", "70000", ""},
		{4, "mtu", "1400, router = 1.2.3.4", ""},
		{4, "ntp-server", "192.0.2.1,192.0.2.2", "{192.0.2.1, 192.0.2.2}"},
		{4, "ntp-server", "{192.0.2.1; 192.0.2.2}", "{192.0.2.1, 192.0.2.2}"},
		{4, "ntp-server", "pool.example", ""},
		{4, "domain-name", `"x.example"`, `"x.example"`},
		{4, "bootfile-name", `a"); drop; /*`, `"a\"); drop; /*"`},
		{4, "bootfile-name", "a\nb", `"a\nb"`},
		{4, "tftp-server", "192.0.2.1", "192.0.2.1"},
		{4, "66", "tftp.example", `"tftp.example"`},
		{4, "ip-forward-enable", "true", "1"},
		{4, "classless-static-route", "10.1.0.0/16,10.0.0.1", "{10.1.0.0/16,10.0.0.1}"},
		{4, "121", "10.1.0.0/16", ""},
		{6, "dns-server", "2001:db8::1", "2001:db8::1"},
		{6, "23", "192.0.2.1", ""},
		{6, "server-id", "fa:16:3e:00:00:01", "fa:16:3e:00:00:01"},
	} {
		got, ok := dhcpNames[c.version][c.name].value(c.value)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s %q gives %q, %v", c.name, c.value, got, ok)
		}
	}
}

// Whatever a tenant writes stays one value: a string of OVN's, or words that can't end an action.
func FuzzDHCPValue(f *testing.F) {
	f.Add("bootfile-name", `";`)
	f.Add("121", "10.0.0.0/8,10.0.0.1")
	f.Add("42", "{1.2.3.4}")
	f.Fuzz(func(t *testing.T, name, value string) {
		got, ok := dhcpNames[4][name].value(value)
		if !ok {
			return
		}
		var text string
		if json.Unmarshal([]byte(got), &text) != nil && strings.Trim(got, "0123456789abcdefABCDEF.:,/{} ") != "" {
			t.Errorf("%s %q gives %q", name, value, got)
		}
	})
}
