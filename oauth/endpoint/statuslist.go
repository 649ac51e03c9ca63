package endpoint

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

// SignStatusList makes the Status List Token of a list
// (draft-ietf-oauth-status-list-21 §5.1): one bit a status, lst as the
// compressed and encoded bits, good for ttl. The same arguments make the same text.
func SignStatusList(key *token.Key, issuer string, list int64, lst string, now time.Time, ttl time.Duration) (string, time.Duration, error) {
	type statusList struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	}
	claims, err := json.Marshal(struct {
		Issuer     string     `json:"iss"`
		Subject    string     `json:"sub"`
		IssuedAt   int64      `json:"iat"`
		ExpiresAt  int64      `json:"exp"`
		TTL        int64      `json:"ttl"`
		StatusList statusList `json:"status_list"`
	}{issuer, statusURI(issuer, list), now.Unix(), now.Add(2 * ttl).Unix(), int64(ttl / time.Second), statusList{1, lst}})
	if err != nil {
		return "", 0, err
	}
	signed, err := key.SignSame(token.TypeStatusList, claims)
	return signed, ttl, err
}

// statusURI is the name of a list, and where it is served.
func statusURI(issuer string, list int64) string {
	return issuer + "/status/" + strconv.FormatInt(list, 10)
}
