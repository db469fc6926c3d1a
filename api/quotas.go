package api

import (
	"database/sql"
	"net/http"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// maxLimit is the largest quota.
const maxLimit = 1<<31 - 1

// quotas serves /quotas and what is below it.
func (r *request) quotas(words []string) error {
	switch {
	case len(words) == 0 && r.Method == http.MethodGet:
		return r.listQuotas()
	case len(words) == 0 && r.Method == http.MethodPost:
		return fault.New(http.StatusNotImplemented, "HTTPNotImplemented", "POST requests are not supported on this resource.")
	case len(words) == 1 && (words[0] == "tenant" || words[0] == "project") && r.Method == http.MethodGet:
		b := append([]byte(`{"`+words[0]+`": {"`+words[0]+`_id": `), resource.AppendString(nil, r.caller.ProjectID)...)
		return r.json(http.StatusOK, append(b, "}}"...), nil)
	case len(words) == 1:
		return r.projectQuota(words[0])
	case len(words) == 2 && r.Method == http.MethodGet && (words[1] == "default" || words[1] == "details"):
		return r.showQuota(words[0], words[1])
	}
	return notFound()
}

// counted lists the resources that have quotas, with the collection that counts them where there is
// one.
func (r *request) counted() []string {
	var names []string
	for name := range r.door.Engine.Quotas {
		names = append(names, name)
	}
	for _, col := range r.door.Collections {
		if d := col.Describe(); d.Counted && !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *request) permitQuota(c *engine.Call, action, project string) error {
	rule := action + "_quota"
	if !c.Allows(rule, projectTarget(project)) && (action != "get" || project != r.caller.ProjectID) {
		return fault.Forbidden("rule:%s is disallowed by policy", rule)
	}
	return nil
}

// listQuotas lists the projects that have limits of their own.
func (r *request) listQuotas() error {
	b := []byte(`{"quotas": [`)
	err := r.door.Engine.View(r.Context(), r.caller, func(c *engine.Call) error {
		if !c.Admin() {
			return fault.New(http.StatusForbidden, "AdminRequired", "User does not have admin privileges: %s.", "Non-admin is not authorised to access quotas")
		}
		var projects []string
		err := c.Tx.Each(func(rows *sql.Rows) error {
			var project string
			err := rows.Scan(&project)
			projects = append(projects, project)
			return err
		}, "SELECT DISTINCT project_id FROM quotas ORDER BY project_id")
		for i, project := range projects {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = r.appendLimits(c, b, project, project); err != nil {
				return err
			}
		}
		return err
	})
	return r.json(http.StatusOK, append(b, "]}"...), err)
}

// appendLimits writes a project's limits; show, when not "", is shown as whose they are.
func (r *request) appendLimits(c *engine.Call, b []byte, project, show string) ([]byte, error) {
	b = append(b, '{')
	for i, name := range r.counted() {
		limit, err := c.Limit(project, name)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `"`+name+`": `...)
		b = resource.AppendInt(b, int64(limit))
	}
	if show != "" {
		b = append(append(b, `, "project_id": `...), resource.AppendString(nil, show)...)
		b = append(append(b, `, "tenant_id": `...), resource.AppendString(nil, show)...)
	}
	return append(b, '}'), nil
}

// projectQuota serves /quotas/{project}.
func (r *request) projectQuota(project string) error {
	if _, err := resource.StringValue("project_id", project, 255); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		return r.showQuota(project, "")
	case http.MethodPut:
		return r.updateQuota(project)
	case http.MethodDelete:
		err := r.door.Engine.Update(r.Context(), r.caller, func(c *engine.Call) error {
			if err := r.permitQuota(c, "delete", project); err != nil {
				return err
			}
			n, err := c.Tx.Exec("DELETE FROM quotas WHERE project_id = ?", project)
			if err == nil && n == 0 {
				err = fault.NotFound("TenantQuotaNotFound", "Quota for project %s could not be found.", project)
			}
			return err
		})
		return r.empty(http.StatusNoContent, err)
	}
	return notAllowed()
}

// showQuota shows a project's limits, the defaults, or limits with what is used of them.
func (r *request) showQuota(project, what string) error {
	b := []byte(`{"quota": `)
	err := r.door.Engine.View(r.Context(), r.caller, func(c *engine.Call) (err error) {
		if err := r.permitQuota(c, "get", project); err != nil {
			return err
		}
		switch what {
		case "details":
			b, err = r.appendUsage(c, b, project)
		case "default":
			b, err = r.appendLimits(c, b, "", "")
		default:
			b, err = r.appendLimits(c, b, project, "")
		}
		return err
	})
	return r.json(http.StatusOK, append(b, '}'), err)
}

func (r *request) appendUsage(c *engine.Call, b []byte, project string) ([]byte, error) {
	usage := map[string]int{}
	for _, col := range r.door.Collections {
		d := col.Describe()
		if !d.Counted {
			continue
		}
		used, err := col.Usage(c, project)
		if err != nil {
			return nil, err
		}
		usage[d.Name] = used
	}
	b = append(b, '{')
	for i, name := range r.counted() {
		limit, err := c.Limit(project, name)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = resource.AppendInt(append(b, `"`+name+`": {"limit": `...), int64(limit))
		b = resource.AppendInt(append(b, `, "used": `...), int64(usage[name]))
		b = append(b, `, "reserved": 0}`...)
	}
	return append(b, '}'), nil
}

// updateQuota sets some of a project's limits. A limit below what is in use is refused when the client
// asks for the check (check_limit).
func (r *request) updateQuota(project string) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	m, ok := body.(map[string]any)
	if !ok {
		return fault.Invalid("Body contains invalid data")
	}
	limits, ok := m["quota"].(map[string]any)
	if !ok {
		return fault.Invalid("Unable to find 'quota' in request body")
	}
	b := []byte(`{"quota": `)
	err = r.door.Engine.Update(r.Context(), r.caller, func(c *engine.Call) error {
		if err := r.permitQuota(c, "update", project); err != nil {
			return err
		}
		if err := r.setLimits(c, project, limits); err != nil {
			return err
		}
		b, err = r.appendLimits(c, b[:len(`{"quota": `)], project, "")
		return err
	})
	return r.json(http.StatusOK, append(b, '}'), err)
}

func (r *request) setLimits(c *engine.Call, project string, limits map[string]any) error {
	check, force := false, false
	for name, flag := range map[string]*bool{"check_limit": &check, "force": &force} {
		if v, sent := limits[name]; sent {
			on, err := resource.BoolValue(v)
			if err != nil {
				return err
			}
			*flag = on
		}
	}
	known := r.counted()
	for name, v := range limits {
		switch name {
		case "force", "check_limit", "project_id", "tenant_id":
			continue
		}
		if !slices.Contains(known, name) {
			return fault.Invalid("Unrecognized attribute(s) '%s'", name)
		}
		limit, err := resource.IntValue(v)
		if err != nil {
			return err
		}
		if limit < -1 || limit > maxLimit {
			return fault.Invalid("Invalid input for %s. Reason: '%d' is not in range -1 through %d.", name, limit, maxLimit)
		}
		if err := r.checkUsed(c, project, name, limit, check && !force); err != nil {
			return err
		}
		if _, err := c.Tx.Exec("DELETE FROM quotas WHERE project_id = ? AND resource = ?", project, name); err != nil {
			return err
		}
		if _, err := c.Tx.Exec("INSERT INTO quotas (project_id, resource, quota_limit) VALUES (?, ?, ?)", project, name, limit); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) checkUsed(c *engine.Call, project, name string, limit int, check bool) error {
	if limit < 0 || !check {
		return nil
	}
	for _, col := range r.door.Collections {
		if d := col.Describe(); d.Name != name || !d.Counted {
			continue
		}
		used, err := col.Usage(c, project)
		if err != nil {
			return err
		}
		if used > limit {
			return fault.Invalid("Quota limit %d for %s must be greater than or equal to already used %d", limit, name, used)
		}
	}
	return nil
}
