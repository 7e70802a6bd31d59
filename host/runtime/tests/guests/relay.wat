;; A plugin whose exports ask the host, which asks the counter.
(component
  (import "test:host/counter@0.1.0" (instance $host
    (export "next" (func (result u32)))
    (export "spin" (func))))
  (core func $next (canon lower (func $host "next")))
  (core func $spin (canon lower (func $host "spin")))
  (core module $main
    (import "host" "next" (func $next (result i32)))
    (import "host" "spin" (func $spin))
    (func (export "next") (result i32) (call $next))
    (func (export "spin") (call $spin)))
  (core instance $main (instantiate $main
    (with "host" (instance (export "next" (func $next)) (export "spin" (func $spin))))))
  (func $relay-next (result u32) (canon lift (core func $main "next")))
  (func $relay-spin (canon lift (core func $main "spin")))
  (instance $relay
    (export "next" (func $relay-next))
    (export "spin" (func $relay-spin)))
  (export "test:guest/relay@0.1.0" (instance $relay)))
