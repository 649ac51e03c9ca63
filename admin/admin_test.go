package admin_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestNew: a part that is missing stops the start and is named; what has a default, or may be absent, does not.
func TestNew(t *testing.T) {
	whole := testadmin.Config(testadmin.New(t))
	optional := []string{"AuditHead", "Backup", "Counting", "KeyPrefix", "Lenient", "Logger", "Now", "Reload"}
	without := func(path ...int) (c admin.Config, name string) {
		c = whole
		v, names := reflect.ValueOf(&c).Elem(), []string{}
		for _, i := range path {
			names = append(names, v.Type().Field(i).Name)
			v = v.Field(i)
		}
		v.SetZero()
		return c, strings.Join(names, ".")
	}
	var paths [][]int
	for i := range reflect.TypeFor[admin.Config]().NumField() {
		f := reflect.TypeFor[admin.Config]().Field(i)
		if f.Type != reflect.TypeFor[admin.Stored]() {
			paths = append(paths, []int{i})
			continue
		}
		for j := range f.Type.NumField() {
			paths = append(paths, []int{i, j})
		}
	}
	for _, path := range paths {
		c, name := without(path...)
		_, err := admin.New(c)
		missing := err != nil && strings.Contains(err.Error(), name+" is required")
		may := false
		for _, o := range optional {
			may = may || o == name
		}
		if missing == may || may && err != nil {
			t.Errorf("without %s: %v", name, err)
		}
	}
	c := whole
	c.KeyPrefix = "not a prefix"
	if _, err := admin.New(c); err == nil {
		t.Error("a prefix that no key can have")
	}
}
