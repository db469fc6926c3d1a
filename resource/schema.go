package resource

import "bytes"

// Schema says what values an attribute has, for documents: the words of JSON Schema.
type Schema struct {
	Type      string // string, integer, boolean, array or object; "" when it is not one of them
	Format    string // uuid, ipv4 or ipv6 address ("ip"), mac, date-time; "" for none
	Nullable  bool
	Enum      []string
	MaxLength int // characters; 0: no limit
	Bounded   bool
	Min, Max  int // of an integer, when Bounded
}

// Schema describes the attribute's values. What the declaration does not say is told by the form of a
// new object's value.
func (a *AttributeOf[P]) Schema() Schema {
	s := a.schema
	zero := a.Append(nil, New[P]())
	if bytes.Equal(zero, []byte("null")) {
		s.Nullable = true
	}
	if s.Type == "" && len(zero) > 0 {
		switch zero[0] {
		case '"':
			s.Type = "string"
		case '[':
			s.Type = "array"
		case '{':
			s.Type = "object"
		case 't', 'f':
			s.Type = "boolean"
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			s.Type = "integer"
		}
	}
	return s
}

// Described replaces what documents say of the attribute's values.
func (a *AttributeOf[P]) Described(s Schema) *AttributeOf[P] { a.schema = s; return a }
