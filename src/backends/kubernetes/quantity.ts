const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
  Ei: 1024 ** 6,
};

/** A quantity of Kubernetes, such as `500m` or `2Gi`, as a number: bytes, or cores. Undefined if it is none. */
export function amountOf(quantity: string | number | undefined): number | undefined {
  if (quantity === undefined || typeof quantity === 'number') return quantity;
  const [, value, unit = ''] = /^([\d.]+(?:[eE]\d+)?)([a-zA-Z]*)$/.exec(quantity) ?? [];
  if (value === undefined) return undefined;
  const factor = unit === '' ? 1 : factors[unit];
  return factor && Number(value) * factor;
}
