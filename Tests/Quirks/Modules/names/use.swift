func use() -> (Order, Oneofs, StringMessage) {
    (
        Order(a: Order.ItemMessage(id: "a"), b: Item(id: "b"), cs: [Item()], m: ["x": Item()], o: .d(Item())),
        Oneofs(none: .aNone("y"), one: .none_p("x")), StringMessage(string: "s")
    )
}
