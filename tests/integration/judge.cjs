// Says whether a bundle (first argument) is signed, as npm judges it: by a public key in PEM (second), or with a trust
// root (second) by an identity (third) at an issuer (fourth).
const { createPublicKey } = require('crypto')
const { readFileSync } = require('fs')
const { bundleFromJSON } = require('@sigstore/bundle')
const { TrustedRoot } = require('@sigstore/protobuf-specs')
const { PolicyError, toSignedEntity, toTrustMaterial, VerificationError, Verifier } = require('@sigstore/verify')

const [bundle, trusted] = process.argv.slice(2, 4).map((path) => readFileSync(path, 'utf8'))
const [identity, issuer] = process.argv.slice(4)
const byKey = () => ({ publicKey: createPublicKey(trusted), validFor: () => true })
const material = identity
  ? toTrustMaterial(TrustedRoot.fromJSON(JSON.parse(trusted)))
  : toTrustMaterial(TrustedRoot.fromJSON({}), byKey)
// A key has neither a certificate nor a time, and nobody has logged what it signed.
const options = identity ? {} : { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 }
const policy = identity ? { subjectAlternativeName: identity, extensions: { issuer } } : undefined
try {
  new Verifier(material, options).verify(toSignedEntity(bundleFromJSON(JSON.parse(bundle))), policy)
  console.log('verified')
} catch (error) {
  if (!(error instanceof VerificationError || error instanceof PolicyError)) throw error
  console.log(error.message)
}
