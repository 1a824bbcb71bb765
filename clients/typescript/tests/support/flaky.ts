/** A network that breaks: forwards connections to a server, and cuts them when the test says so. */

import { connect, createServer, type Server, type Socket } from "node:net";

export class FlakyNetwork {
  /** How many connections were opened. */
  opened = 0;
  /** How many of them the client has closed. */
  closed = 0;
  /** Cut each connection after this many bytes from the client; Infinity: do not. */
  cutAfterSent = Infinity;
  /** Cut each connection before anything of the response is passed on. */
  dropResponses = false;
  #sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async before(target: string): Promise<FlakyNetwork> {
    const { hostname, port } = new URL(target);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address() as { port: number };
    const network = new FlakyNetwork(server, `http://127.0.0.1:${address.port}`);
    server.on("connection", (client) => network.#forward(client, connect(Number(port), hostname)));
    return network;
  }

  #forward(client: Socket, upstream: Socket): void {
    this.opened += 1;
    let sent = 0;
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", cut);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    client.once("close", () => (this.closed += 1));
    client.on("data", (data) => {
      sent += data.length;
      upstream.write(data);
      if (sent > this.cutAfterSent) cut();
    });
    upstream.on("data", (data) => (this.dropResponses ? cut() : client.write(data)));
  }

  /** Cut all connections that are open now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
