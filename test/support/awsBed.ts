import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { pythonOf } from './hostLive.ts';
import { freePort } from './sshBed.ts';

const startLimitMs = 120_000;
const region = 'us-east-1';

/** AWS as far as its API: calls are answered and remembered on loopback, and nothing runs. */
export class AwsBed {
  /** What its clients need. */
  readonly env: Readonly<Record<string, string>>;
  readonly #address: string;
  readonly #server: ChildProcess;

  private constructor(address: string, server: ChildProcess) {
    this.#address = address;
    this.#server = server;
    this.env = {
      ...{ AWS_ENDPOINT_URL: address, AWS_DEFAULT_REGION: region },
      ...{ AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'nothing' },
    };
  }

  static async start(): Promise<AwsBed> {
    const python = await pythonOf('clouds');
    const port = await freePort();
    const server = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', `${port}`], {
      env: { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' },
      stdio: 'ignore',
    });
    const bed = new AwsBed(`http://127.0.0.1:${port}`, server);
    for (const began = performance.now(); !(await bed.#answers()); await sleep(100)) {
      if (performance.now() - began < startLimitMs && server.exitCode === null) continue;
      await bed.dispose();
      throw new Error('The stand-in for AWS did not start');
    }
    // As accounts have it; the class asks.
    await bed.ecs('PutAccountSetting', { name: 'taskLongArnFormat', value: 'enabled' });
    return bed;
  }

  /** A call of ECS, as its clients make it. */
  async ecs(operation: string, parameters: object = {}): Promise<Record<string, unknown>> {
    const answer = await fetch(this.#address, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `AmazonEC2ContainerServiceV20141113.${operation}`,
        authorization: authorizationFor('ecs'),
      },
      body: JSON.stringify(parameters),
    });
    return (await answer.json()) as Record<string, unknown>;
  }

  /** Names of the roles that there are. */
  async roles(): Promise<string[]> {
    const answer = await fetch(this.#address, {
      method: 'POST',
      headers: { authorization: authorizationFor('iam') },
      body: new URLSearchParams({ Action: 'ListRoles', Version: '2010-05-08' }),
    });
    return [...(await answer.text()).matchAll(/<RoleName>([^<]*)/g)].flatMap(([, name]) => name ?? []);
  }

  async dispose(): Promise<void> {
    if (this.#server.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#server.once('exit', resolve));
    this.#server.kill('SIGKILL');
    await ended;
  }

  #answers(): Promise<boolean> {
    return fetch(`${this.#address}/moto-api/`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

/** Nobody checks signatures; calls are told apart by it. */
const authorizationFor = (service: string) =>
  `AWS4-HMAC-SHA256 Credential=nobody/20260101/${region}/${service}/aws4_request`;
