package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"neutrino/engine"
	"neutrino/resource"
)

// object is a JSON object of a document; encoding/json sorts its keys, so that a document is the same
// every time.
type object = map[string]any

// OpenAPI describes what the collections serve, as an OpenAPI 3.1 document. has says whether a policy
// rule exists.
func OpenAPI(collections []engine.Collection, has func(rule string) bool) ([]byte, error) {
	paths, schemas := object{}, object{"Error": errorSchema()}
	for _, col := range collections {
		d := col.Describe()
		schemas[d.Rule] = shownSchema(d, has)
		describePaths(paths, d, has)
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "OpenStack Networking API v2.0, as Neutrino serves it", "version": "2.0",
			"description": "Generated from the declarations that the server runs by. Which attributes a caller gets and may give is decided by policy rules: x-policy names them.",
		},
		"servers":  []any{object{"url": "/"}},
		"security": []any{object{"token": []any{}}},
		"paths":    paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
			"responses":       errorResponses(),
		},
	}, "", " ")
}

func errorSchema() object {
	text := object{"type": "string"}
	return object{"type": "object", "required": []any{"NeutronError"}, "properties": object{
		"NeutronError": object{"type": "object", "required": []any{"type", "message", "detail"},
			"properties": object{"type": text, "message": text, "detail": text}},
	}}
}

// failures are the answers that any operation may give.
var failures = map[string]string{
	"400": "The request is wrong; the error says what.",
	"401": "There is no valid token.",
	"403": "Policy forbids it.",
	"404": "There is no such object, or the caller may not see it.",
	"405": "The resource has no such operation.",
	"409": "It conflicts with the state of things.",
	"412": "If-Match names another revision.",
	"413": "The body is too large.",
	"503": "The identity service or the database can't be reached, or there is nothing left to give.",
}

func errorResponses() object {
	responses := object{}
	for code, text := range failures {
		responses[code] = object{"description": text, "content": content(reference("Error"))}
	}
	responses["401"] = object{"description": failures["401"], "headers": object{"WWW-Authenticate": object{"schema": object{"type": "string"}}}}
	return responses
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func content(schema any) object { return object{"application/json": object{"schema": schema}} }

// shownSchema is an object as answers show it.
func shownSchema(d engine.Description, has func(string) bool) object {
	properties := object{}
	for _, a := range d.Attributes {
		if a.Hidden {
			continue
		}
		schema := attributeSchema(a.Schema)
		if rule := "get_" + d.Rule + ":" + a.Name; has(rule) {
			schema["x-policy"] = rule
		} else if a.AdminOnly {
			schema["x-policy"] = "context_is_admin"
		}
		if !a.Put && !a.Post {
			schema["readOnly"] = true
		}
		properties[a.Name] = schema
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

// givenSchema is an object as requests give it.
func givenSchema(d engine.Description, verb string, has func(string) bool) object {
	properties, required := object{}, []any{}
	for _, a := range d.Attributes {
		if verb == "create" && !a.Post || verb == "update" && !a.Put {
			continue
		}
		schema := attributeSchema(a.Schema)
		if rule := verb + "_" + d.Rule + ":" + a.Name; has(rule) {
			schema["x-policy"] = rule
		}
		properties[a.Name] = schema
		if verb == "create" && a.Required {
			required = append(required, a.Name)
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func attributeSchema(s resource.Schema) object {
	schema := object{}
	switch {
	case s.Type != "" && s.Nullable:
		schema["type"] = []any{s.Type, "null"}
	case s.Type != "":
		schema["type"] = s.Type
	}
	if s.Format != "" {
		schema["format"] = s.Format
	}
	if s.MaxLength > 0 {
		schema["maxLength"] = s.MaxLength
	}
	if s.Bounded {
		schema["minimum"], schema["maximum"] = s.Min, s.Max
	}
	if len(s.Enum) > 0 {
		words := make([]any, 0, len(s.Enum)+1)
		for _, word := range s.Enum {
			words = append(words, word)
		}
		if s.Nullable {
			words = append(words, nil)
		}
		schema["enum"] = words
	}
	return schema
}

// pathsOf gives a resource's collection and object paths, with the names of their parameters.
func pathsOf(d engine.Description) (whole, one string, parents []string) {
	whole = "/v2.0/" + d.Collection
	if d.Below != "" {
		below := d.Below
		if d.Below == "policies" { // the one parent below a prefix
			below = "qos/policies"
		}
		parents = []string{d.Parent + "_id"}
		whole = "/v2.0/" + below + "/{" + d.Parent + "_id}/" + d.Collection
	}
	return whole, whole + "/{" + d.Key + "}", parents
}

func describePaths(paths object, d engine.Description, has func(string) bool) {
	whole, one, parents := pathsOf(d)
	many, single := object{}, object{}
	answer := func(name string, schema any) object {
		return object{"type": "object", "properties": object{name: schema}}
	}
	shown := reference(d.Rule)
	list := answer(d.Plural, object{"type": "array", "items": shown})
	list["properties"].(object)[d.Plural+"_links"] = object{"type": "array"}
	if d.List {
		many["get"] = operation(d, "list", "get_"+d.Rule, parents, 200, content(list), nil)
		many["get"].(object)["parameters"] = append(many["get"].(object)["parameters"].([]any), queryOf(d)...)
	}
	if d.Create {
		given := any(answer(d.Name, givenSchema(d, "create", has)))
		made := any(answer(d.Name, shown))
		if d.Bulk {
			given = object{"oneOf": []any{given, answer(d.Plural, object{"type": "array", "items": givenSchema(d, "create", has)})}}
			made = object{"oneOf": []any{made, answer(d.Plural, object{"type": "array", "items": shown})}}
		}
		many["post"] = operation(d, "create", "create_"+d.Rule, parents, 201, content(made), given)
	}
	keys := append(slices.Clone(parents), d.Key)
	if d.Show {
		single["get"] = operation(d, "show", "get_"+d.Rule, keys, 200, content(answer(d.Name, shown)), nil)
	}
	if d.Update {
		single["put"] = operation(d, "update", "update_"+d.Rule, keys, 200, content(answer(d.Name, shown)), answer(d.Name, givenSchema(d, "update", has)))
	}
	if d.Delete {
		single["delete"] = operation(d, "delete", "delete_"+d.Rule, keys, 204, nil, nil)
	}
	if len(many) > 0 {
		paths[whole] = many
	}
	if len(single) > 0 {
		paths[one] = single
	}
	for _, a := range d.Actions {
		describeAction(paths, d, one, keys, a)
	}
	if d.Taggable {
		describeTags(paths, d, one, keys)
	}
}

func describeAction(paths object, d engine.Description, one string, keys []string, a engine.ActionDescription) {
	path := one + "/" + a.Name
	if a.Word {
		path, keys = path+"/{item}", append(slices.Clone(keys), "item")
	}
	methods, _ := paths[path].(object)
	if methods == nil {
		methods = object{}
		paths[path] = methods
	}
	var given any
	var made object
	if a.Method == http.MethodPut || a.Method == http.MethodPost {
		given = object{"type": "object"}
	}
	if a.Status != http.StatusNoContent {
		made = content(object{})
	}
	methods[strings.ToLower(a.Method)] = operation(d, a.Name, a.Rule, keys, a.Status, made, given)
}

func describeTags(paths object, d engine.Description, one string, keys []string) {
	tags := object{"type": "object", "properties": object{"tags": object{"type": "array", "items": object{"type": "string", "maxLength": 255}}}}
	withTag := append(slices.Clone(keys), "tag")
	paths[one+"/tags"] = object{
		"get":    operation(d, "tags", "get_"+d.Rule+":tags", keys, 200, content(tags), nil),
		"put":    operation(d, "replace_tags", "update_"+d.Rule+":tags", keys, 200, content(tags), tags),
		"post":   operation(d, "add_tags", "update_"+d.Rule+":tags", keys, 200, content(tags), tags),
		"delete": operation(d, "remove_tags", "delete_"+d.Rule+":tags", keys, 204, nil, nil),
	}
	paths[one+"/tags/{tag}"] = object{
		"get":    operation(d, "has_tag", "get_"+d.Rule+":tags", withTag, 204, nil, nil),
		"put":    operation(d, "add_tag", "update_"+d.Rule+":tags", withTag, 201, nil, nil),
		"delete": operation(d, "remove_tag", "delete_"+d.Rule+":tags", withTag, 204, nil, nil),
	}
}

// operation describes one method of a path.
func operation(d engine.Description, verb, rule string, keys []string, status int, answer object, given any) object {
	ok := object{"description": "done"}
	if answer != nil {
		ok["content"] = answer
	}
	responses := object{strconv.Itoa(status): ok}
	for code := range failures {
		responses[code] = object{"$ref": "#/components/responses/" + code}
	}
	parameters := []any{}
	for _, key := range keys {
		parameters = append(parameters, object{"name": key, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	op := object{
		"operationId": verb + "_" + d.Rule, "tags": []any{cmp.Or(d.Extension, "core")},
		"parameters": parameters, "responses": responses, "x-policy": rule,
	}
	if given != nil {
		op["requestBody"] = object{"required": true, "content": content(given)}
	}
	return op
}

// queryOf lists what a list may be asked.
func queryOf(d engine.Description) []any {
	query := func(name, kind string) object {
		return object{"name": name, "in": "query", "schema": object{"type": kind}}
	}
	parameters := []any{
		query("fields", "string"), query("sort_key", "string"), query("sort_dir", "string"),
		query("limit", "integer"), query("marker", "string"), query("page_reverse", "boolean"),
	}
	names := []string{}
	for _, a := range d.Attributes {
		if a.Filter {
			names = append(names, a.Name)
		}
	}
	if d.Taggable {
		names = append(names, "tags", "tags-any", "not-tags", "not-tags-any")
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		parameters = append(parameters, query(name, "string"))
	}
	return parameters
}

// Reference is the page of the API for people: every resource with its attributes.
func Reference(collections []engine.Collection, has func(rule string) bool) []byte {
	var b strings.Builder
	b.WriteString("# API reference\n\nGenerated from the declarations that the server runs by (`go test ./server -run Reference -update`); the same as OpenAPI 3.1 is served at\n`/openapi.json`. c: may be given on create, C: must be; u: may be changed; f: filter; s: sort key. *Policy* names rules beside the\nverb's own; *admin* attributes are shown to administrators only.\n")
	for _, col := range collections {
		d := col.Describe()
		whole, one, _ := pathsOf(d)
		b.WriteString("\n## " + d.Name + "\n\n")
		var verbs []string
		for _, v := range []struct {
			has  bool
			text string
		}{
			{d.List, "GET " + whole}, {d.Create, "POST " + whole}, {d.Show, "GET " + one}, {d.Update, "PUT " + one}, {d.Delete, "DELETE " + one},
		} {
			if v.has {
				verbs = append(verbs, "`"+v.text+"`")
			}
		}
		for _, a := range d.Actions {
			path := one + "/" + a.Name
			if a.Word {
				path += "/{item}"
			}
			verbs = append(verbs, "`"+a.Method+" "+path+"` (`"+a.Rule+"`)")
		}
		if d.Taggable {
			verbs = append(verbs, "tags")
		}
		b.WriteString(strings.Join(verbs, ", ") + "  \nPolicy: `…_" + d.Rule + "`")
		if d.Extension != "" {
			b.WriteString("; extension `" + d.Extension + "`")
		}
		b.WriteString("\n\n| attribute | | type | policy |\n|---|---|---|---|\n")
		for _, a := range d.Attributes {
			if a.Hidden && !a.Post && !a.Put {
				continue
			}
			flags := ""
			for _, f := range []struct {
				on   bool
				flag string
			}{{a.Post && !a.Required, "c"}, {a.Required, "C"}, {a.Put, "u"}, {a.Filter, "f"}, {a.Sort, "s"}} {
				if f.on {
					flags += f.flag
				}
			}
			b.WriteString("| `" + a.Name + "` | " + flags + " | " + typeText(a.Schema) + " | " + policyText(d, a, has) + " |\n")
		}
	}
	return []byte(b.String())
}

func typeText(s resource.Schema) string {
	text := s.Type
	if s.Format != "" {
		text += " " + s.Format
	}
	if len(s.Enum) > 0 {
		text = strings.Join(s.Enum, ", ")
	}
	if s.Bounded {
		text += " " + strconv.Itoa(s.Min) + "…" + strconv.Itoa(s.Max)
	}
	if s.MaxLength > 0 && s.Format == "" {
		text += " ≤ " + strconv.Itoa(s.MaxLength)
	}
	if s.Nullable {
		text += " or null"
	}
	return strings.TrimSpace(text)
}

func policyText(d engine.Description, a engine.AttributeDescription, has func(string) bool) string {
	var rules []string
	for _, verb := range []string{"get", "create", "update"} {
		if has(verb + "_" + d.Rule + ":" + a.Name) {
			rules = append(rules, verb)
		}
	}
	if a.AdminOnly && !slices.Contains(rules, "get") {
		rules = append(rules, "admin")
	}
	return strings.Join(rules, ", ")
}
