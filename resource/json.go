package resource

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// AppendString writes text as a JSON string.
func AppendString(b []byte, text string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			b = append(b, text[start:i]...)
			b = append(b, "\ufffd"...)
			i++
			start = i
			continue
		}
		b = append(b, text[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	b = append(b, text[start:]...)
	return append(b, '"')
}

// AppendBool writes true or false.
func AppendBool(b []byte, v bool) []byte { return strconv.AppendBool(b, v) }

// AppendInt writes a number.
func AppendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// AppendIP writes an address as a JSON string; the zero address is null.
func AppendIP(b []byte, ip netip.Addr) []byte {
	if !ip.IsValid() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	return append(ip.AppendTo(b), '"')
}

// AppendStrings writes a list of strings; nil is the empty list.
func AppendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, text := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = AppendString(b, text)
	}
	return append(b, ']')
}

// AppendJSON writes any value whose JSON form cannot fail; a nil slice is the empty list.
func AppendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("resource: a declared value has no JSON form: " + err.Error())
	}
	return append(b, text...)
}

func appendOptional(b []byte, text string) []byte {
	if text == "" {
		return append(b, "null"...)
	}
	return AppendString(b, text)
}
