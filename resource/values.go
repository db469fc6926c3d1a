package resource

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"neutrino/address"
	"neutrino/fault"
)

// The functions here convert and validate one JSON value (as json.Decoder gives it with UseNumber)
// in the original's way: converters answer InvalidInput, validators HTTPBadRequest.

// StringValue takes a string of at most max characters (0: no limit).
func StringValue(name string, v any, max int) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid string.", name, show(v))
	}
	if max > 0 && utf8.RuneCountInString(text) > max {
		return "", fault.Invalid("Invalid input for %s. Reason: '%s' exceeds maximum length of %d.", name, text, max)
	}
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return "", fault.Invalid("Invalid input for %s. Reason: the text has characters that cannot be stored.", name)
	}
	return text, nil
}

// NameValue takes a string for people: no control characters, no white space at either end.
func NameValue(name string, v any) (string, error) {
	text, err := StringValue(name, v, 255)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(text) != text && text != "" {
		return "", fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid name: leading or trailing whitespace.", name, text)
	}
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		return "", fault.Invalid("Invalid input for %s. Reason: %q has a control character.", name, text)
	}
	return text, nil
}

// OneLineValue takes a string without line breaks or other control characters.
func OneLineValue(name string, v any, max int) (string, error) {
	text, err := StringValue(name, v, max)
	if err != nil {
		return "", err
	}
	if strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return "", fault.Invalid("Invalid input for %s. Reason: %q has a control character; give one line.", name, text)
	}
	return text, nil
}

// UUIDValue takes a UUID, dashes optional, and gives the canonical form.
func UUIDValue(name string, v any) (string, error) {
	if text, ok := v.(string); ok && (len(text) == 36 || len(text) == 32) {
		if id, err := uuid.Parse(text); err == nil {
			return id.String(), nil
		}
	}
	return "", fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid UUID.", name, show(v))
}

// UUIDList takes a list of distinct UUIDs; null is the empty list.
func UUIDList(name string, v any) ([]string, error) {
	list, err := ListValue(name, v)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(list))
	for _, item := range list {
		id, err := UUIDValue(name, item)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if id, twice := Twice(ids); twice {
		return nil, fault.Invalid("Invalid input for %s. Reason: Duplicate items in the list: '%s'.", name, id)
	}
	return ids, nil
}

// Twice finds an item that a list has twice.
func Twice[T comparable](list []T) (item T, found bool) {
	seen := make(map[T]bool, len(list))
	for _, item := range list {
		if seen[item] {
			return item, true
		}
		seen[item] = true
	}
	return item, false
}

// MaxItems is how many items a list in a body may have: what rules do for each of them is done while nobody else writes.
const MaxItems = 5000

// ListValue takes a list of at most MaxItems; null is the empty list.
func ListValue(name string, v any) ([]any, error) {
	switch list := v.(type) {
	case nil:
		return nil, nil
	case []any:
		if len(list) > MaxItems {
			return nil, fault.Invalid("Invalid input for %s. Reason: %d items are more than the %d that a list may have.", name, len(list), MaxItems)
		}
		return list, nil
	}
	return nil, fault.Invalid("Invalid input for %s. Reason: '%s' is not a list.", name, show(v))
}

// MapValue takes a map with only the allowed keys; with none allowed, any.
func MapValue(name string, v any, allowed ...string) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fault.Invalid("Invalid input for %s. Reason: '%s' is not a dictionary.", name, show(v))
	}
	if len(allowed) == 0 {
		return m, nil
	}
next:
	for key := range m {
		for _, a := range allowed {
			if a == key {
				continue next
			}
		}
		return nil, fault.Invalid("Invalid input for %s. Reason: Unexpected keys supplied: %s; allowed keys: %s.", name, key, strings.Join(allowed, ", "))
	}
	return m, nil
}

// BoolValue takes a boolean in any form that the original takes.
func BoolValue(v any) (bool, error) {
	switch b := v.(type) {
	case bool:
		return b, nil
	case json.Number:
		switch b.String() {
		case "0":
			return false, nil
		case "1":
			return true, nil
		}
	case string:
		switch strings.ToLower(b) {
		case "1", "t", "true", "on", "y", "yes":
			return true, nil
		case "0", "f", "false", "off", "n", "no":
			return false, nil
		}
	}
	return false, fault.InvalidInput("'%s' cannot be converted to boolean", show(v))
}

// IntValue takes an integer from a number or a numeric text.
func IntValue(v any) (int, error) {
	var text string
	switch n := v.(type) {
	case json.Number:
		text = n.String()
		if f, err := strconv.ParseFloat(text, 64); err == nil && f > -1e15 && f < 1e15 {
			return int(f), nil
		}
	case string:
		text = strings.TrimSpace(n)
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	return 0, fault.InvalidInput("'%s' is not an integer", show(v))
}

// IPValue takes an IPv4 or IPv6 address without a zone.
func IPValue(name string, v any) (netip.Addr, error) {
	text, ok := v.(string)
	if ok {
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" && !ip.Is4In6() {
			return ip, nil
		}
	}
	return netip.Addr{}, fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid IP address.", name, show(v))
}

// PrefixValue takes a CIDR; host bits are kept.
func PrefixValue(name string, v any) (netip.Prefix, error) {
	text, ok := v.(string)
	if ok {
		if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().Is4In6() {
			return p, nil
		}
	}
	return netip.Prefix{}, fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid IP subnet.", name, show(v))
}

// MACValue takes a MAC address in any usual form; all zero and all ones are refused.
func MACValue(name string, v any) (address.MAC, error) {
	text, ok := v.(string)
	if ok {
		m, err := address.ParseMAC(text)
		if err == nil && !m.IsZero() && m != (address.MAC{255, 255, 255, 255, 255, 255}) {
			return m, nil
		}
	}
	return address.MAC{}, fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid MAC address.", name, show(v))
}

// show is a client's value in a message: short, and on one line.
func show(v any) string {
	var text string
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		text = v
	case json.Number:
		text = v.String()
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprintf("%T", v)
		}
		text = string(b)
	}
	if utf8.RuneCountInString(text) > 200 {
		text = string([]rune(text)[:200]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
