/** A bundle of its own, loaded when a cluster with TLS is first made. */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** PEM texts of one side of mutual TLS. */
export interface NodeCertificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 24 * 3600 * 1000;
/** Clocks of engines on other machines may be behind or ahead. */
const skewMs = dayMs;
const usualLifeDays = 30;

/**
 * Certificates for one cluster by an authority made for it, whose key nobody keeps: for its members, and for clients.
 * Dask checks that both sides have one of the authority, and no names (`distributed.security`). From version 3.13 on Python
 * asks for the identifiers of keys too (`VERIFY_X509_STRICT` of its default contexts).
 * @param lifeDays how long they are valid
 */
export async function makeCertificates(
  name: string,
  lifeDays: number = usualLifeDays,
): Promise<{ readonly members: NodeCertificates; readonly client: NodeCertificates }> {
  cryptoProvider.set(webcrypto as never);
  const period = {
    notBefore: new Date(Date.now() - skewMs),
    notAfter: new Date(Date.now() + lifeDays * dayMs),
  };
  const newKeys = () =>
    webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
  const [authorityKeys, memberKeys, clientKeys] = await Promise.all([newKeys(), newKeys(), newKeys()]);
  const authority = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${name} authority`,
    ...period,
    signingAlgorithm: algorithm,
    keys: authorityKeys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const issue = async (keys: webcrypto.CryptoKeyPair, who: string): Promise<NodeCertificates> => {
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: `CN=${name} ${who}`,
      issuer: authority.subject,
      ...period,
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: authorityKeys.privateKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey),
      ],
    });
    const key = PemConverter.encode(
      await webcrypto.subtle.exportKey('pkcs8', keys.privateKey),
      'PRIVATE KEY',
    );
    return { ca: authority.toString('pem'), cert: certificate.toString('pem'), key };
  };
  const [members, client] = await Promise.all([issue(memberKeys, 'member'), issue(clientKeys, 'client')]);
  return { members, client };
}

/** Positive, as the first bit is a sign. */
const serial = () => `1${randomBytes(8).toString('hex')}`;
