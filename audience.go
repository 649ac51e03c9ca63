package gatehouse

import (
	"maps"
	"slices"
)

// AudiencesOf are all whom tokens of a realm with that issuer can be for, the default one first.
func (s RealmSettings) AudiencesOf(issuer string) []string {
	list := []string{issuer}
	if a := s.Audience; a != "" && a != issuer {
		list = []string{a, issuer}
	}
	for _, a := range slices.Sorted(maps.Keys(s.Audiences)) {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}
