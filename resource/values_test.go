package resource

import (
	"encoding/json"
	"strings"
	"testing"

	"neutrino/fault"
)

func TestValues(t *testing.T) {
	number := func(text string) any { return json.Number(text) }
	for _, c := range []struct {
		name string
		try  func() (any, error)
		want any // nil: refused
	}{
		{"boolean word", func() (any, error) { return BoolValue("Yes") }, true},
		{"boolean number", func() (any, error) { return BoolValue(number("0")) }, false},
		{"no boolean", func() (any, error) { return BoolValue("2") }, nil},
		{"integer text", func() (any, error) { return IntValue(" 7 ") }, 7},
		{"float is cut", func() (any, error) { return IntValue(number("7.9")) }, 7},
		{"no integer", func() (any, error) { return IntValue("7x") }, nil},
		{"null is no integer", func() (any, error) { return IntValue(nil) }, nil},
		{"UUID without dashes", func() (any, error) { return UUIDValue("id", "0123456789ABCDEF0123456789abcdef") }, "01234567-89ab-cdef-0123-456789abcdef"},
		{"no UUID", func() (any, error) { return UUIDValue("id", "0123456789abcdef") }, nil},
		{"UUIDs twice", func() (any, error) {
			return UUIDList("ids", []any{"01234567-89ab-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef"})
		}, nil},
		{"IPv4", func() (any, error) { ip, err := IPValue("ip", "10.0.0.1"); return ip.String(), err }, "10.0.0.1"},
		{"IPv6 is canonical", func() (any, error) { ip, err := IPValue("ip", "2001:DB8:0::1"); return ip.String(), err }, "2001:db8::1"},
		{"leading zeros", func() (any, error) { ip, err := IPValue("ip", "10.0.0.01"); return ip, err }, nil},
		{"zone", func() (any, error) { ip, err := IPValue("ip", "fe80::1%eth0"); return ip, err }, nil},
		{"MAC", func() (any, error) { m, err := MACValue("mac", "FA-16-3E-0-0-1"); return m.String(), err }, "fa:16:3e:00:00:01"},
		{"no MAC", func() (any, error) { return MACValue("mac", "00:00:00:00:00:00") }, nil},
		{"name", func() (any, error) { return NameValue("name", "Grüße 🙂") }, "Grüße 🙂"},
		{"name with space before", func() (any, error) { return NameValue("name", " x") }, nil},
		{"name with a tab", func() (any, error) { return NameValue("name", "a\tb") }, nil},
		{"NUL", func() (any, error) { return StringValue("x", "a\x00b", 0) }, nil},
		{"long", func() (any, error) { return StringValue("x", strings.Repeat("ü", 255), 255) }, strings.Repeat("ü", 255)},
		{"too long", func() (any, error) { return StringValue("x", strings.Repeat("x", 256), 255) }, nil},
		{"two lines", func() (any, error) { return OneLineValue("x", "a\nb", 0) }, nil},
		{"unknown key", func() (any, error) { m, err := MapValue("x", map[string]any{"a": 1}, "b"); return len(m), err }, nil},
	} {
		got, err := c.try()
		if _, ok := fault.As(err); c.want == nil && !ok {
			t.Errorf("%s: got %v, %v; want a fault", c.name, got, err)
		}
		if c.want != nil && (err != nil || got != c.want) {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// FuzzAppendString holds our JSON strings to the standard library's reading of them.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "a", "\"\\\n\r\t\x01", "ü🙂", "\xff\xfe", "\xf0\x9f\x99", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var back string
		if err := json.Unmarshal(AppendString(nil, text), &back); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want := string([]rune(text)); back != want { // each bad byte becomes a mark of its own
			t.Errorf("%q came back as %q, want %q", text, back, want)
		}
	})
}
