//! Stub.
#![allow(missing_docs, unused)]
mod serve;
pub use serve::*;
pub use anylith_wire::{Failure, ServedComponent};
use anylith_core::*;
use bytes::Bytes;
use std::{sync::Arc, time::Instant};
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
#[derive(Clone)] pub struct Network;
impl Network { pub fn new(_: Name, _: Limits) -> Self { Self } pub fn serve(&self, _: &Endpoint, _: Arc<dyn Serve>) -> std::io::Result<Server> { todo!() } pub fn update(&self, _: Directory) {} pub fn callee(&self, _: Name, _: Fingerprint) -> Callee { Callee } }
pub struct Server;
impl Server { pub fn endpoint(&self) -> Endpoint { todo!() } pub async fn drain(&self) {} }
#[derive(Clone, Debug)] pub struct Callee;
impl Callee { pub async fn call(&self, r: Request<'_>) -> Result<Reply, Failure> { todo!() } }
pub struct Request<'a> { pub method: u16, pub idempotent: bool, pub deadline: Option<Instant>, pub context: &'a CallContext, pub arguments: &'a (dyn Fn(&mut Vec<u8>) -> Result<(), Failure> + Sync), pub items: Option<Items>, pub streaming_answer: bool }
pub enum Reply { Message(Bytes), Stream(Items) }
