package resource

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"neutrino/address"
	"neutrino/fault"
)

// Text declares a string of at most max characters (0: no limit); column is the SQL column.
func Text[P any](name, column string, max int, field func(t P) *string) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: column,
		schema:     Schema{Type: "string", MaxLength: max},
		setDefault: func(P) {},
		decode: func(t P, v any) error {
			text, err := StringValue(name, v, max)
			if err == nil {
				*field(t) = text
			}
			return err
		},
		encode: func(b []byte, t P) []byte { return AppendString(b, *field(t)) },
		value:  func(t P) any { return *field(t) },
		dest:   func(t P) any { return field(t) },
	}
}

// Name declares a string for people: at most 255 characters, no control characters, no white space
// at either end.
func Name[P any](field func(t P) *string) *AttributeOf[P] {
	a := Text("name", "name", 255, field)
	a.decode = func(t P, v any) error {
		text, err := NameValue("name", v)
		if err == nil {
			*field(t) = text
		}
		return err
	}
	return a
}

// OptionalText is Text whose empty value is null on the wire.
func OptionalText[P any](name, column string, max int, field func(t P) *string) *AttributeOf[P] {
	a := Text(name, column, max, field)
	a.schema.Nullable = true
	decode := a.decode
	a.decode = func(t P, v any) error {
		if v == nil {
			*field(t) = ""
			return nil
		}
		return decode(t, v)
	}
	a.encode = func(b []byte, t P) []byte { return appendOptional(b, *field(t)) }
	return a
}

// UUID declares a reference that is always there.
func UUID[P any](name, column string, field func(t P) *string) *AttributeOf[P] {
	a := Text(name, column, 36, field)
	a.schema.Format = "uuid"
	a.decode = func(t P, v any) error {
		id, err := UUIDValue(name, v)
		if err == nil {
			*field(t) = id
		}
		return err
	}
	return a
}

// OptionalUUID declares a reference that may be null: "" in Go and in SQL.
func OptionalUUID[P any](name, column string, field func(t P) *string) *AttributeOf[P] {
	a := UUID(name, column, field)
	a.schema.Nullable = true
	decode := a.decode
	a.decode = func(t P, v any) error {
		if v == nil {
			*field(t) = ""
			return nil
		}
		return decode(t, v)
	}
	a.encode = func(b []byte, t P) []byte { return appendOptional(b, *field(t)) }
	return a
}

// Enum declares one of a few words. With optional, null is "" in Go and in SQL.
func Enum[P any](name, column string, words []string, optional bool, field func(t P) *string) *AttributeOf[P] {
	a := Text(name, column, 0, field)
	a.schema.Enum, a.schema.Nullable = words, optional
	a.decode = func(t P, v any) error {
		if v == nil && optional {
			*field(t) = ""
			return nil
		}
		text, ok := v.(string)
		if !ok || !slices.Contains(words, text) {
			return fault.Invalid("Invalid input for %s. Reason: '%s' is not in ['%s'].", name, show(v), strings.Join(words, "', '"))
		}
		*field(t) = text
		return nil
	}
	if optional {
		a.encode = func(b []byte, t P) []byte { return appendOptional(b, *field(t)) }
	}
	return a
}

// Bool declares a boolean; clients may also send 0/1 and the words that the original takes.
func Bool[P any](name, column string, field func(t P) *bool) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: column,
		schema:     Schema{Type: "boolean"},
		setDefault: func(P) {},
		decode: func(t P, v any) error {
			b, err := BoolValue(v)
			if err == nil {
				*field(t) = b
			}
			return err
		},
		encode:    func(b []byte, t P) []byte { return AppendBool(b, *field(t)) },
		value:     func(t P) any { return *field(t) },
		dest:      func(t P) any { return field(t) },
		filterArg: func(text string) (any, error) { return BoolValue(text) },
	}
}

// Int declares an integer within bounds.
func Int[P any](name, column string, min, max int, field func(t P) *int) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: column,
		schema:     Schema{Type: "integer", Bounded: true, Min: min, Max: max},
		setDefault: func(P) {},
		decode: func(t P, v any) error {
			n, err := IntValue(v)
			if err != nil {
				return err
			}
			if n < min || n > max {
				return fault.Invalid("Invalid input for %s. Reason: '%d' is not in range %d through %d.", name, n, min, max)
			}
			*field(t) = n
			return nil
		},
		encode:    func(b []byte, t P) []byte { return AppendInt(b, int64(*field(t))) },
		value:     func(t P) any { return *field(t) },
		dest:      func(t P) any { return field(t) },
		filterArg: func(text string) (any, error) { return IntValue(text) },
	}
}

// OptionalInt is Int whose absence, null on the wire, is the value none in Go and in SQL.
func OptionalInt[P any](name, column string, min, max, none int, field func(t P) *int) *AttributeOf[P] {
	a := Int(name, column, min, max, field)
	a.schema.Nullable = true
	decode := a.decode
	a.decode = func(t P, v any) error {
		if v == nil {
			*field(t) = none
			return nil
		}
		return decode(t, v)
	}
	a.setDefault = func(t P) { *field(t) = none }
	a.encode = func(b []byte, t P) []byte {
		if *field(t) == none {
			return append(b, "null"...)
		}
		return AppendInt(b, int64(*field(t)))
	}
	return a
}

// MAC declares an Ethernet address.
func MAC[P any](name, column string, field func(t P) *address.MAC) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: column,
		schema:     Schema{Type: "string", Format: "mac"},
		setDefault: func(P) {},
		decode: func(t P, v any) error {
			m, err := MACValue(name, v)
			if err == nil {
				*field(t) = m
			}
			return err
		},
		encode: func(b []byte, t P) []byte { return AppendString(b, field(t).String()) },
		value:  func(t P) any { return field(t).String() },
		dest:   func(t P) any { return textDest{field(t)} },
		filterArg: func(text string) (any, error) {
			m, err := address.ParseMAC(text)
			if err != nil {
				return text, nil // no such address: nothing is found
			}
			return m.String(), nil
		},
	}
}

// IP declares an address that may be null (the zero netip.Addr).
func IP[P any](name, column string, field func(t P) *netip.Addr) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: column,
		schema:     Schema{Type: "string", Format: "ip", Nullable: true},
		setDefault: func(P) {},
		decode: func(t P, v any) error {
			if v == nil {
				*field(t) = netip.Addr{}
				return nil
			}
			ip, err := IPValue(name, v)
			if err == nil {
				*field(t) = ip
			}
			return err
		},
		encode: func(b []byte, t P) []byte { return AppendIP(b, *field(t)) },
		value:  func(t P) any { return addrText(*field(t)) },
		dest:   func(t P) any { return textDest{field(t)} },
		filterArg: func(text string) (any, error) {
			if ip, err := netip.ParseAddr(text); err == nil {
				return ip.String(), nil
			}
			return text, nil
		},
	}
}

// JSON declares a value that is kept as JSON text in one column: a short list or map that is never
// searched. parse converts and validates a client's value; the field's own JSON form is the wire's.
func JSON[P, V any](name, column string, field func(t P) *V, parse func(value any) (V, error)) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: column, raw: true,
		setDefault: func(P) {},
		decode: func(t P, v any) error {
			parsed, err := parse(v)
			if err == nil {
				*field(t) = parsed
			}
			return err
		},
		encode: func(b []byte, t P) []byte { return AppendJSON(b, *field(t)) },
		value: func(t P) any {
			text, err := json.Marshal(*field(t))
			if err != nil {
				panic("resource: " + name + " has no JSON form: " + err.Error())
			}
			return string(text)
		},
		dest: func(t P) any { return jsonDest{field(t)} },
	}
}

// Computed declares a read-only attribute that lives in no column of the resource: a loader or a
// rule fills the struct. value may be nil.
func Computed[P any](name string, encode func(b []byte, t P) []byte, value func(t P) any) *AttributeOf[P] {
	return &AttributeOf[P]{Name: name, setDefault: func(P) {}, encode: encode, value: value}
}
