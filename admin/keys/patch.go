package keys

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// loosens reports whether the change lifts a limit that an administrator set on k.
func (in KeyPatch) loosens(k credential.Key) bool {
	raises := func(to *int64, from int64) bool { return to != nil && from > 0 && (*to == 0 || *to > from) }
	return raises(in.QuotaDay, k.QuotaDay) || raises(in.QuotaMonth, k.QuotaMonth) ||
		in.Disabled != nil && !*in.Disabled && !k.DisabledAt.IsZero()
}

const (
	maxMetadata      = 32
	maxMetadataName  = 64
	maxMetadataValue = 512
	maxQuota         = 1_000_000_000_000
)

func checkMetadata(f kernel.Faults, m map[string]string) {
	if len(m) > maxMetadata {
		f.Add("metadata", "must have at most %d members", maxMetadata)
		return
	}
	for name, value := range m {
		if name == "" || len(name) > maxMetadataName || len(value) > maxMetadataValue || !plainText(name) || !plainText(value) {
			f.Add("metadata", "must have names of 1 to %d bytes and values of at most %d, without control characters", maxMetadataName, maxMetadataValue)
			return
		}
	}
}

// mergeNotes applies a merge patch to the notes of a key; a nil patch takes all away.
func mergeNotes(notes map[string]string, patch map[string]*string) map[string]string {
	if patch == nil {
		return nil
	}
	out := make(map[string]string, len(notes)+len(patch))
	maps.Copy(out, notes)
	for name, value := range patch {
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = *value
	}
	return out
}

// plainText reports whether s can be shown in a line of a terminal.
func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func checkQuota(f kernel.Faults, name string, n int64) {
	if n < 0 || n > maxQuota {
		f.Add(name, "must be from 0, which is any number, to %d", int64(maxQuota))
	}
}

// apply narrows k.
func (in KeyPatch) apply(k *credential.Key, e *gatehouse.Event) error {
	e.Detail = kernel.Changes(e.Detail)
	if in.Name != nil {
		k.Name, e.Detail["name"] = *in.Name, "changed"
	}
	if in.Scopes != nil {
		for _, sc := range *in.Scopes {
			if !slices.Contains(k.Scopes, sc) && !slices.Contains(k.Scopes, gatehouse.ScopeAll) {
				return errWider
			}
		}
		k.Scopes, e.Detail["scopes"] = *in.Scopes, strings.Join(*in.Scopes, " ")
	}
	if in.AllowedNets != nil {
		nets, err := credential.ParseNets(*in.AllowedNets)
		if err != nil {
			return err
		}
		if len(nets) == 0 && len(k.AllowedNets) > 0 {
			return errWider
		}
		for _, n := range nets {
			if len(k.AllowedNets) > 0 && !slices.ContainsFunc(k.AllowedNets, func(o netip.Prefix) bool { return o.Bits() <= n.Bits() && o.Contains(n.Addr()) }) {
				return errWider
			}
		}
		k.AllowedNets, e.Detail["allowed_nets"] = nets, strings.Join(*in.AllowedNets, " ")
		e.Detail["owner"] = k.OwnerID // whose networks these are
	}
	if in.Disabled != nil && *in.Disabled != !k.DisabledAt.IsZero() {
		k.DisabledAt, e.Detail["disabled"] = time.Time{}, strconv.FormatBool(*in.Disabled)
		if *in.Disabled {
			k.DisabledAt = e.Time
		}
	}
	if in.Metadata != nil {
		merged := mergeNotes(k.Metadata, *in.Metadata)
		f := kernel.Faults{}
		if checkMetadata(f, merged); f.Err() != nil {
			return f.Err()
		}
		k.Metadata, e.Detail["metadata"] = merged, "changed"
	}
	if in.QuotaDay != nil {
		k.QuotaDay, e.Detail["quota_day"] = *in.QuotaDay, strconv.FormatInt(*in.QuotaDay, 10)
	}
	if in.QuotaMonth != nil {
		k.QuotaMonth, e.Detail["quota_month"] = *in.QuotaMonth, strconv.FormatInt(*in.QuotaMonth, 10)
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.Equal(k.ExpiresAt) {
		if in.ExpiresAt.IsZero() || !k.ExpiresAt.IsZero() && in.ExpiresAt.After(k.ExpiresAt) {
			return errWider
		}
		k.ExpiresAt, e.Detail["expires_at"] = *in.ExpiresAt, in.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return nil
}
