package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"roles", "policies", "users", "on"}
	for in, want := range map[string]string{"rolls": "roles", "Roles": "roles", "polices": "policies", "sers": "users", "users": "users",
		"orles": "roles", "groups": "", "": "", "xy": ""} {
		if got := Name(in, names); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
