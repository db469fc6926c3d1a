CREATE TABLE qos_policies (
	id              VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255) NOT NULL,
	name            VARCHAR(255) NOT NULL,
	description     VARCHAR(255) NOT NULL,
	revision_number BIGINT       NOT NULL,
	created_at      VARCHAR(20)  NOT NULL,
	updated_at      VARCHAR(20)  NOT NULL,
	is_default      BOOLEAN      NOT NULL
);
CREATE INDEX qos_policies_project ON qos_policies (project_id);

-- Rules of all types: amount is max_kbps, min_kbps, dscp_mark, max_kpps or min_kpps.
CREATE TABLE qos_rules (
	id        VARCHAR(36) NOT NULL PRIMARY KEY,
	policy_id VARCHAR(36) NOT NULL REFERENCES qos_policies (id) ON DELETE CASCADE,
	rule_type VARCHAR(32) NOT NULL,
	direction VARCHAR(8)  NOT NULL,
	amount    BIGINT      NOT NULL,
	burst     BIGINT      NOT NULL
);
CREATE INDEX qos_rules_policy ON qos_rules (policy_id);

ALTER TABLE networks ADD COLUMN qos_policy_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN qos_policy_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE floatingips ADD COLUMN qos_policy_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE routers ADD COLUMN gateway_qos_policy_id VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX networks_qos ON networks (qos_policy_id);
CREATE INDEX ports_qos ON ports (qos_policy_id);
