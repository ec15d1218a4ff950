// Verifies a record of `swarmd records export` with js-libp2p, without a line of swarmd's code.
//
//   npm install @libp2p/peer-record @libp2p/crypto @libp2p/peer-id
//   node 0002-verify_record.mjs record.bin
//
// The domain string is `protocol.RECORD_DOMAIN`; protocol/SPEC.md has the rest of the format.
import { readFileSync } from 'node:fs'
import { RecordEnvelope } from '@libp2p/peer-record'
import { peerIdFromPublicKey } from '@libp2p/peer-id'

const DOMAIN = 'swarmd-record'
const bytes = readFileSync(process.argv[2])
const envelope = await RecordEnvelope.openAndCertify(bytes, DOMAIN)
console.log('signature valid, domain', DOMAIN)
console.log('publisher', peerIdFromPublicKey(envelope.publicKey).toString())
console.log('payload type', new TextDecoder().decode(envelope.payloadType))
console.log('payload', envelope.payload.length, 'bytes of CBOR')

const forged = Uint8Array.from(bytes)
forged[forged.length - 100] ^= 1
try {
  await RecordEnvelope.openAndCertify(forged, DOMAIN)
  console.log('a flipped bit was NOT noticed')
  process.exitCode = 1
} catch (error) {
  console.log('a flipped bit is refused:', error.name)
}
