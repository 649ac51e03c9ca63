package ldap

// Forget has the directory asked again at once, after it could not be.
func (d *Directory) Forget() { d.failedAt.Store(0) }
