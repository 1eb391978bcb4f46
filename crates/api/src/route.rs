//! A path with what it demands, what it does, and what it says of itself.
//!
//! The three are given together: a method is added with its [`Operation`], so that none is served without being in the
//! document at `/api/openapi.json`. Files of pages and WebSockets are no part of the REST API and say nothing.

use axum::handler::Handler;
use axum::routing::{MethodRouter, get};
use http::Method;

use crate::openapi::Operation;
use crate::permission::Guard;

/// A path of the server.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) guard: Guard,
    pub(crate) action: MethodRouter,
    /// Nobody else makes a route: a method without one is not possible.
    operations: Vec<(Method, Operation)>,
}

impl Route {
    /// A path of the REST API, without methods.
    pub(crate) fn new(path: &'static str, guard: Guard) -> Self {
        Self { path, guard, action: MethodRouter::new(), operations: Vec::new() }
    }

    /// A file of a page.
    pub(crate) fn file<T: 'static>(path: &'static str, serve: impl Handler<T, ()>) -> Self {
        Self { path, guard: Guard::Open, action: get(serve), operations: Vec::new() }
    }

    /// A WebSocket.
    pub(crate) fn socket<T: 'static>(path: &'static str, connect: impl Handler<T, ()>) -> Self {
        Self { path, guard: Guard::WebSocket, action: get(connect), operations: Vec::new() }
    }

    pub(crate) fn get<T: 'static>(mut self, operation: Operation, action: impl Handler<T, ()>) -> Self {
        self.action = self.action.get(action);
        self.says(Method::GET, operation)
    }

    pub(crate) fn post<T: 'static>(mut self, operation: Operation, action: impl Handler<T, ()>) -> Self {
        self.action = self.action.post(action);
        self.says(Method::POST, operation)
    }

    pub(crate) fn patch<T: 'static>(mut self, operation: Operation, action: impl Handler<T, ()>) -> Self {
        self.action = self.action.patch(action);
        self.says(Method::PATCH, operation)
    }

    pub(crate) fn delete<T: 'static>(mut self, operation: Operation, action: impl Handler<T, ()>) -> Self {
        self.action = self.action.delete(action);
        self.says(Method::DELETE, operation)
    }

    /// What other methods get instead of 405.
    pub(crate) fn otherwise<T: 'static>(mut self, action: impl Handler<T, ()>) -> Self {
        self.action = self.action.fallback(action);
        self
    }

    /// What each method does; empty for what is no part of the REST API.
    pub(crate) fn operations(&self) -> &[(Method, Operation)] {
        &self.operations
    }

    fn says(mut self, method: Method, operation: Operation) -> Self {
        self.operations.push((method, operation));
        self
    }
}
