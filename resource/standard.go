package resource

import (
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Standard is what nearly every resource has. Embed it.
type Standard struct {
	ID          string
	ProjectID   string
	Name        string
	Description string
	Revision    int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Tags        []string

	row bool // only the own row was read
}

// MarkRow says that only the object's own row was read: what other tables have of it is not there.
func (s *Standard) MarkRow() { s.row = true }

// IsRow says whether only the object's own row was read.
func (s *Standard) IsRow() bool { return s.row }

// Standards declares id, tenant_id, project_id, name, description, revision_number, created_at and
// updated_at; the columns bear the same names (project_id only once).
func Standards[P any](of func(t P) *Standard) []*AttributeOf[P] {
	return append([]*AttributeOf[P]{
		ID(func(t P) *string { return &of(t).ID }),
		Name(func(t P) *string { return &of(t).Name }).Post().Put().Sort(),
	}, append(Project(func(t P) *string { return &of(t).ProjectID }), Stamps(of)...)...)
}

// ID declares the primary key.
func ID[P any](field func(t P) *string) *AttributeOf[P] {
	return UUID("id", "id", field).Sort()
}

// Project declares project_id and its twin tenant_id.
func Project[P any](field func(t P) *string) []*AttributeOf[P] {
	project := Text("project_id", "project_id", 255, field).Post().Sort()
	tenant := Text("tenant_id", "project_id", 255, field).Post().Sort()
	return []*AttributeOf[P]{tenant, project}
}

// Stamps declares description, revision_number, created_at and updated_at.
func Stamps[P any](of func(t P) *Standard) []*AttributeOf[P] {
	revision := &AttributeOf[P]{
		Name: "revision_number", Column: "revision_number", filter: true, schema: Schema{Type: "integer"},
		encode:    func(b []byte, t P) []byte { return AppendInt(b, of(t).Revision) },
		value:     func(t P) any { return of(t).Revision },
		dest:      func(t P) any { return &of(t).Revision },
		filterArg: func(text string) (any, error) { return IntValue(text) },
	}
	return []*AttributeOf[P]{
		Text("description", "description", 255, func(t P) *string { return &of(t).Description }).Post().Put().Filter(),
		revision,
		stamp("created_at", func(t P) *time.Time { return &of(t).CreatedAt }),
		stamp("updated_at", func(t P) *time.Time { return &of(t).UpdatedAt }),
	}
}

// stamp is a time of second precision in UTC, kept as its wire text.
func stamp[P any](name string, field func(t P) *time.Time) *AttributeOf[P] {
	return &AttributeOf[P]{
		Name: name, Column: name, schema: Schema{Type: "string", Format: "date-time"},
		encode: func(b []byte, t P) []byte {
			b = append(b, '"')
			return append(field(t).UTC().AppendFormat(b, wireTime), '"')
		},
		value: func(t P) any { return field(t).UTC().Format(wireTime) },
		dest:  func(t P) any { return timeDest{field(t)} },
	}
}

const wireTime = "2006-01-02T15:04:05Z"

// timeDest scans a time's wire text.
type timeDest struct{ t *time.Time }

func (d timeDest) Scan(src any) error {
	text, err := sourceText(src)
	if err != nil {
		return err
	}
	*d.t, err = time.Parse(wireTime, text)
	return err
}

// textDest scans text into a value that reads it, such as netip.Addr or address.MAC.
type textDest struct{ to encoding.TextUnmarshaler }

func (d textDest) Scan(src any) error {
	text, err := sourceText(src)
	if err != nil {
		return err
	}
	return d.to.UnmarshalText([]byte(text))
}

// jsonDest scans JSON text.
type jsonDest struct{ to any }

func (d jsonDest) Scan(src any) error {
	text, err := sourceText(src)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), d.to)
}

func sourceText(src any) (string, error) {
	switch s := src.(type) {
	case string:
		return s, nil
	case []byte:
		return string(s), nil
	case nil:
		return "", nil
	}
	return "", fmt.Errorf("cannot read %T from a text column", src)
}

// AddrArg is an address as SQL keeps it: its text, "" for none.
func AddrArg(a netip.Addr) driver.Value { return addrText(a) }

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// TextDest is an SQL scan destination for a value that reads text, such as *netip.Prefix.
func TextDest(to encoding.TextUnmarshaler) any { return textDest{to} }

// Replace gives the list with the attribute of the same name replaced.
func Replace[P any](list []*AttributeOf[P], a *AttributeOf[P]) []*AttributeOf[P] {
	out := slices.Clone(list)
	for i, have := range out {
		if have.Name == a.Name {
			out[i] = a
		}
	}
	return out
}
