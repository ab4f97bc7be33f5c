// Says whether a bundle (first argument) is signed by a public key in PEM (second), as npm judges it.
const { createPublicKey } = require('crypto')
const { readFileSync } = require('fs')
const { bundleFromJSON } = require('@sigstore/bundle')
const { TrustedRoot } = require('@sigstore/protobuf-specs')
const { toSignedEntity, toTrustMaterial, VerificationError, Verifier } = require('@sigstore/verify')

const [bundle, key] = process.argv.slice(2).map((path) => readFileSync(path, 'utf8'))
const trusted = toTrustMaterial(TrustedRoot.fromJSON({}), () => ({ publicKey: createPublicKey(key), validFor: () => true }))
try {
  // A key has neither a certificate nor a time, and nobody has logged what it signed.
  new Verifier(trusted, { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 })
    .verify(toSignedEntity(bundleFromJSON(JSON.parse(bundle))))
  console.log('verified')
} catch (error) {
  if (!(error instanceof VerificationError)) throw error
  console.log(error.message)
}
