package engine

import "neutrino/fault"

// Limit is a project's quota for a resource name; -1 is unlimited.
func (c *Call) Limit(project, name string) (int, error) {
	limit, known := c.Engine.Quotas[name]
	if !known {
		limit = -1
	}
	_, err := c.Tx.One([]any{&limit}, "SELECT quota_limit FROM quotas WHERE project_id = ? AND resource = ?", project, name)
	return limit, err
}

// Used is how many objects of the resource a project has.
func (r *ResourceOf[P]) Used(c *Call, project string) (int, error) {
	return c.Tx.Count("SELECT COUNT(*) FROM "+r.Table+" WHERE project_id = ?", project)
}

// CheckQuota refuses n more objects for a project when they would pass its limit. Objects of no
// project (a router's gateway port) are not counted.
func (r *ResourceOf[P]) CheckQuota(c *Call, project string, n int) error {
	if project == "" {
		return nil
	}
	limit, err := c.Limit(project, r.Name)
	if err != nil || limit < 0 {
		return err
	}
	used, err := r.Used(c, project)
	if err != nil {
		return err
	}
	if used+n > limit {
		return fault.Conflict("OverQuota", "Quota exceeded for resources: ['%s'].", r.Name)
	}
	return nil
}
