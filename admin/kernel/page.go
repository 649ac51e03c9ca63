package kernel

// The sizes of pages, in entries.
const (
	MaxPage  = 200
	pageSize = 50
)

// Page is a part of a list. Next is the cursor of the following part, "" at the
// end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one"`
}

// List is a list that is never paged.
type List[T any] struct {
	Items []T `json:"items"`
}

// Limit bounds the size of a page.
func Limit(n int) int {
	if n <= 0 {
		return pageSize
	}
	return min(n, MaxPage)
}

// Paged cuts items, of which one more than limit was read, into a page.
func Paged[R, V any](items []R, limit int, id func(R) string, view func(R) V) Page[V] {
	p := Page[V]{Items: make([]V, 0, min(len(items), limit))}
	for i, it := range items {
		if i == limit {
			p.Next = id(items[limit-1])
			break
		}
		p.Items = append(p.Items, view(it))
	}
	return p
}

// Some makes an absent list an empty one, so that JSON says [] and not null.
func Some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
