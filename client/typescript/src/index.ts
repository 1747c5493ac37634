export { credentials, status as Status } from "@grpc/grpc-js";
export type { CallOptions, DeepPartial, Method, Service, ServiceClient, Stream } from "./calls.js";
export { connect, services, type Client, type ConnectOptions } from "./connect.js";
export { CallError } from "./errors.js";
export * from "./protos/index.standpipe.v1.js";
