package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// fields is a request's object. Its methods note mistakes for err.
type fields struct {
	values map[string]any
	wrong  *error
}

// readFields reads {"user": {…}}.
func readFields(r *http.Request, singular string) (fields, error) {
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return fields{}, refuse(http.StatusRequestEntityTooLarge, "The request is larger than %d bytes.", maxBody)
	}
	return decodeFields(data, singular)
}

func decodeFields(data []byte, singular string) (fields, error) {
	var body map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&body); err != nil {
		return fields{}, refuse(http.StatusBadRequest, "The body is not a JSON object: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fields{}, refuse(http.StatusBadRequest, "The body has more than one JSON value.")
	}
	in := fields{wrong: new(error)}
	if err := json.Unmarshal(body[singular], &in.values); err != nil || in.values == nil {
		return fields{}, refuse(http.StatusBadRequest, "'%s' is a required property.", singular)
	}
	return in, nil
}

func (f fields) refuse(format string, args ...any) {
	if *f.wrong == nil {
		*f.wrong = refuse(http.StatusBadRequest, format, args...)
	}
}

// text sets to the string under key when there is one; null is "".
func (f fields) text(key string, to *string) {
	switch v := f.values[key].(type) {
	case string:
		if len(v) > 1024 || strings.ContainsRune(v, 0) {
			f.refuse("Invalid input for field '%s': the text is too long or has a zero byte.", key)
			return
		}
		*to = v
	case nil:
		if _, given := f.values[key]; given {
			*to = ""
		}
	default:
		f.refuse("Invalid input for field '%s': %v is not of type 'string'.", key, v)
	}
}

// enabled sets disabled from the boolean that says the contrary.
func (f fields) enabled(disabled *bool) {
	enabled := !*disabled
	f.flag("enabled", &enabled)
	*disabled = !enabled
}

// name sets a name, which may not be empty.
func (f fields) name(to *string) {
	f.text("name", to)
	if strings.TrimSpace(*to) == "" || len(*to) > 255 {
		f.refuse("Invalid input for field 'name': it must have 1 to 255 bytes.")
	}
}

// ignored are fields that every object may be given and that change nothing here when they are empty.
var ignored = []string{"options", "tags", "links", "id"}

// only refuses fields that are not understood: nothing is silently ignored.
func (f fields) only(keys ...string) {
	for key, v := range f.values {
		if slices.Contains(keys, key) || slices.Contains(ignored, key) && empty(v) {
			continue
		}
		f.refuse("The built-in identity service does not know the field '%s'.", key)
	}
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// fixed refuses another value than the one that can't be changed.
func (f fields) fixed(key string, is any) {
	if v, given := f.values[key]; given && v != is {
		f.refuse("Invalid input for field '%s': it can't be changed.", key)
	}
}

// flag sets to the boolean under key when there is one.
func (f fields) flag(key string, to *bool) {
	switch v := f.values[key].(type) {
	case bool:
		*to = v
	case nil:
	default:
		f.refuse("Invalid input for field '%s': %v is not of type 'boolean'.", key, v)
	}
}
