package audit

// Kinds of events: the closed set of what is recorded. docs/audit-events.md says
// of each when it is written and which members it has; a test keeps the two
// equal, and another one sees each of them written.
const (
	KindRequestDecide = "request.decide" // a request through the pipeline, with its chain

	KindLoginSuccess   = "login.success"
	KindLoginFailure   = "login.failure"
	KindLoginThrottled = "login.throttled"

	KindAttackSignal = "attack.signal" // somebody seems to attack; its reason is the signal

	KindTokenIssue   = "token.issue"
	KindTokenRefresh = "token.refresh"
	KindTokenReuse   = "token.reuse" // a spent refresh token came back

	KindTokenExchange        = "token.exchange"         // a token was exchanged for another one
	KindTokenExchangeFailure = "token.exchange_failure" // a client asked for that, and may not

	KindGrantEnd = "grant.end"

	KindAuthorizationGrant = "authorization.grant" // a person allowed a client something
	KindAuthorizationDeny  = "authorization.deny"
	KindAuthorizationReuse = "authorization.reuse" // a spent authorization code came back

	KindConsentRevoke = "consent.revoke" // all that a person let a client have was taken back

	KindAuthorizationDevice  = "authorization.device"  // a device without a browser waits for a person
	KindAuthorizationAsk     = "authorization.ask"     // a client waits for a person whom this server asks
	KindAuthorizationFailure = "authorization.failure" // somebody typed the code of no device

	KindCutoffSet = "cutoff.set"

	KindSessionOpen   = "session.open"
	KindSessionRotate = "session.rotate" // it has another secret: the person proved more, or again
	KindSessionEnd    = "session.end"
	KindSessionDisown = "session.disown" // its person says that somebody else opened it

	KindSessionHandOver = "session.handover" // a host of the gateway got a secret of it

	KindKeyCreate = "key.create"
	KindKeyUpdate = "key.update"
	KindKeyRotate = "key.rotate"
	KindKeyRevoke = "key.revoke"
	KindKeyLeaked = "key.leaked"

	KindUserCreate       = "user.create"
	KindUserUpdate       = "user.update"
	KindUserPassword     = "user.password"
	KindUserResetLink    = "user.reset_link"   // sent, to set a new password by
	KindUserFactorsLink  = "user.factors_link" // sent, to replace lost factors by
	KindUserFactors      = "user.factors"      // lost factors were replaced
	KindUserEmailLink    = "user.email_link"   // sent, to verify an address by
	KindUserEmail        = "user.email"        // an address was verified
	KindUserTerms        = "user.terms"        // the person accepted the terms of the realm
	KindInvitationCreate = "invitation.create"
	KindInvitationRevoke = "invitation.revoke"
	KindUserRegisterLink = "user.register_link" // sent to an address, to make an account by
	KindUserRehash       = "user.rehash"
	KindUserRevoke       = "user.revoke"
	KindUserPanic        = "user.panic"
	KindUserDelete       = "user.delete"

	KindFactorBegin     = "factor.begin"
	KindFactorAdd       = "factor.add"
	KindFactorUpdate    = "factor.update"
	KindFactorRemove    = "factor.remove"
	KindFactorCodes     = "factor.codes" // a new set of recovery codes
	KindFactorUse       = "factor.use"
	KindFactorFailure   = "factor.failure"
	KindFactorThrottled = "factor.throttled"

	KindPasskeyAdd     = "passkey.add"
	KindPasskeyUpdate  = "passkey.update"
	KindPasskeyRemove  = "passkey.remove"
	KindPasskeyUse     = "passkey.use"
	KindPasskeyFailure = "passkey.failure"
	KindPasskeyCloned  = "passkey.cloned" // its counter did not go up

	KindProviderSecret  = "provider.secret" // a client secret was set
	KindProviderLink    = "provider.link"
	KindProviderUnlink  = "provider.unlink"
	KindProviderUse     = "provider.use"
	KindProviderFailure = "provider.failure"

	KindClientCreate    = "client.create"
	KindClientRegister  = "client.register"     // by itself
	KindClientDescribe  = "client.describe"     // a document at its client_id describes it, and it is stored with what that says
	KindClientExpire    = "client.expire"       // nobody looked at it, and nobody used it
	KindInitialToken    = "client.token_create" // by which clients register themselves
	KindInitialTokenEnd = "client.token_delete"
	KindClientUpdate    = "client.update"
	KindClientRotate    = "client.rotate" // it has another secret
	KindClientLeaked    = "client.leaked" // its secret was reported by somebody who holds it
	KindClientDelete    = "client.delete"
	KindClientFailure   = "client.failure" // it did not prove who it is

	KindRealmCreate = "realm.create"
	KindRealmUpdate = "realm.update"
	KindRealmPanic  = "realm.panic"

	KindRolePut      = "role.put"
	KindRoleDelete   = "role.delete"
	KindPolicyPut    = "policy.put"
	KindPolicyDelete = "policy.delete"
	KindSchemaPut    = "schema.put"
	KindEntityPut    = "entity.put"
	KindEntityDelete = "entity.delete"

	KindSigningKeyCreate   = "signing_key.create"
	KindSigningKeyActivate = "signing_key.activate"
	KindSigningKeyRetire   = "signing_key.retire"
	KindSigningKeyRemove   = "signing_key.remove"

	KindAdminBootstrap = "admin.bootstrap"
	KindAdminDenied    = "admin.denied"
	KindAdminRecover   = "admin.recover" // with the machine in hand, not through the API
	KindBackupCreate   = "backup.create"
	KindBackupRestore  = "backup.restore"
	KindStoreMove      = "store.move" // into another database, by the machine's owner
	KindServerStart    = "server.start"
	KindServerStop     = "server.stop"
	KindConfigReload   = "config.reload"
	KindNodeRemove     = "node.remove" // somebody says that a node has stopped which could not say so

	KindMailFailed = "mail.failed" // a message was given up
	KindMailTest   = "mail.test"

	KindLogoutTold   = "logout.told"   // a client knows that a session has ended
	KindLogoutFailed = "logout.failed" // it does not, and is told no more

	KindDiskSpace = "disk.space" // little room is left on a disk, or enough again

	KindAuditBroken  = "audit.broken"  // the log is no continuation of what was signed for it
	KindAuditCounted = "audit.counted" // refusals of callers who never authenticated, beyond the bound
	KindAuditDropped = "audit.dropped"
	KindAuditRemove  = "audit.remove" // the beginning of the log was removed: its time was over
	KindAuditVerify  = "audit.verify"
)
