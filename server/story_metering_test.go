package server

import "testing"

func TestMetering(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /metering/metering-labels", body: `{"metering_label": {"name": "l"}}`, status: 403},
		{as: "manager", do: "POST /metering/metering-labels", body: `{"metering_label": {"name": "l", "description": "d"}}`, status: 201,
			want: []string{`"shared": false`, `"tenant_id": "$demo"`}, keep: "label"},
		{as: "reader", do: "GET /metering/metering-labels", status: 200, want: []string{"$label"}},
		{as: "other", do: "GET /metering/metering-labels", status: 200, want: []string{`"metering_labels": []`}},
		{as: "other", do: "GET /metering/metering-labels/$label", status: 404, want: []string{"MeteringLabelNotFound"}},
		{do: "PUT /metering/metering-labels/$label", body: `{"metering_label": {"name": "m"}}`, status: 405},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "up", "remote_ip_prefix": "10.0.0.0/8"}}`, status: 400},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress"}}`, status: 400, want: []string{`"Invalid"`}},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress", "remote_ip_prefix": "10.0.0.0/8", "source_ip_prefix": "10.0.0.0/8"}}`, status: 400},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress", "remote_ip_prefix": "ten"}}`, status: 400},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$demo", "direction": "ingress", "remote_ip_prefix": "10.0.0.0/8"}}`, status: 404, want: []string{"MeteringLabelNotFound"}},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress", "remote_ip_prefix": "10.0.0.0/8", "project_id": "$other"}}`, status: 400},
		{as: "manager", do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress", "remote_ip_prefix": "10.0.0.0/8"}}`, status: 201,
			want: []string{`"excluded": false`, `"remote_ip_prefix": "10.0.0.0/8"`, `"source_ip_prefix": null`, `"tenant_id": "$demo"`}, keep: "rule"},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress", "remote_ip_prefix": "10.1.0.0/16"}}`, status: 409, want: []string{"MeteringLabelRuleOverlaps"}},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "egress", "remote_ip_prefix": "10.1.0.0/16"}}`, status: 201, want: []string{`"tenant_id": "$demo"`}},
		{do: "POST /metering/metering-label-rules", body: `{"metering_label_rule": {"metering_label_id": "$label", "direction": "ingress", "source_ip_prefix": "10.1.0.0/16"}}`, status: 201},
		{as: "reader", do: "GET /metering/metering-label-rules?direction=ingress&remote_ip_prefix=10.0.0.0/8&fields=id", status: 200, want: []string{`[{"id": "$rule"}]`}},
		{as: "other", do: "GET /metering/metering-label-rules", status: 200, want: []string{`"metering_label_rules": []`}},
		{as: "demo", do: "DELETE /metering/metering-label-rules/$rule", status: 403},
		{as: "other", do: "DELETE /metering/metering-label-rules/$rule", status: 404, want: []string{"MeteringLabelRuleNotFound"}},
		{as: "manager", do: "DELETE /metering/metering-label-rules/$rule", status: 204},
		{as: "manager", do: "DELETE /metering/metering-labels/$label", status: 204},
		{do: "GET /metering/metering-label-rules", status: 200, want: []string{`"metering_label_rules": []`}},
	})
}
