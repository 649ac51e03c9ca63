package credential

import "github.com/gatehouse-auth/gatehouse"

// ErrInvalidCredentials answers every wrong pair of user name and password alike, and says not which half is wrong
// or whether the account exists.
var ErrInvalidCredentials = gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "The username or the password is wrong.")
